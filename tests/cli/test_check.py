"""``slicewise check`` on sets with known faults: table, JSON, page and exit code."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.volume import Volume

Slicewise = Callable[..., Any]


@dataclass(frozen=True)
class Checked:
    """What one call left."""

    code: int
    table: str
    notes: str
    findings: dict[str, Any]
    page: str

    @property
    def everything(self) -> str:
        return self.table + self.notes + json.dumps(self.findings) + self.page

    def case(self, name: str) -> dict[str, Any]:
        return next(case for case in self.findings["cases"] if case["name"] == name)


def check(slicewise: Slicewise, folder: Path, root: Path, *arguments: str | Path) -> Checked:
    findings, page = folder / "findings.json", folder / "page.html"
    done = slicewise(
        "check", root, "--json", findings, "--html", page, "--work", folder / "work",
        "--workers", "2", *arguments,
    )  # fmt: skip
    assert findings.stat().st_mode & 0o777 == 0o600
    return Checked(
        done.returncode,
        done.stdout,
        done.stderr,
        json.loads(findings.read_text()),
        page.read_text(),
    )


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def spoilt(
    slicewise: Slicewise, scans: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Checked:
    """1 has no label, 2 an empty one, 4 is 3 again, 5 is damaged; the name of 0 is a script."""
    folder = tmp_path_factory.mktemp("spoilt")
    root = folder / "set"
    shutil.copytree(scans, root)
    images, labels = root / "images", root / "labels"
    (labels / "case1.nii.gz").unlink()
    label = nib.load(labels / "case2.nii.gz")
    empty = nib.Nifti1Image(np.zeros(label.shape, np.uint8), label.affine)
    nib.save(empty, labels / "case2.nii.gz")
    shutil.copy(images / "case3.nii.gz", images / "case4.nii.gz")
    damaged = images / "case5.nii.gz"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    for side in (images, labels):
        (side / "case0.nii.gz").rename(side / "9<script>alert(1)<|script>.nii.gz")
    before = contents(root)
    checked = check(slicewise, folder, root, "--config", tiny, "--allow-unpaired")
    # The input is never written to.
    assert contents(root) == before
    return checked


def test_a_sound_set(slicewise: Slicewise, scans: Path, tiny: Path, tmp_path: Path) -> None:
    checked = check(slicewise, tmp_path, scans, "--config", tiny)
    assert checked.code == 0
    assert "6 cases of 6 patients, 6 with labels, 0 unusable" in checked.notes
    assert [case["name"] for case in checked.findings["cases"]] == [
        f"case{number}" for number in range(6)
    ]
    case = checked.case("case3")
    assert case["shape"] == [22, 19, 5]
    assert case["spacing_mm"] == pytest.approx([1.5, 1.2, 4], rel=1e-5)
    assert (case["orientation"], case["plane"]) == ("LAS", "axial")
    # 8 x 6 x 3 voxels of 7.2 cubic millimetres.
    assert case["structures"] == {"3": pytest.approx(144 * 7.2e-3, abs=1e-4)}
    assert "<title>tiny</title>" in checked.page
    assert checked.page.count("data:image/webp;base64,") == 6
    assert "core" in checked.page


def test_every_key_is_explained(spoilt: Checked) -> None:
    explained = set(spoilt.findings["keys"])
    assert {f"summary.{key}" for key in spoilt.findings["summary"]} <= explained
    for case in spoilt.findings["cases"]:
        assert {f"cases[].{key}" for key in case} <= explained


def test_the_worst_comes_first(spoilt: Checked) -> None:
    rows = re.findall(r"^  (case\d|9<)", spoilt.table, re.MULTILINE)
    assert rows == ["case3", "case4", "case5", "case2", "9<"]
    headings = re.findall(r"<h3>(case\d|9&lt;)", spoilt.page)
    assert headings == ["case3", "case4", "case5", "case2", "9&lt;"]


@pytest.mark.fault(62, "E")
def test_duplicates_are_named(spoilt: Checked) -> None:
    assert spoilt.code == 8
    text = "case4: PROBLEM: the same voxels as case3; remove all but one"
    assert text in spoilt.table
    assert spoilt.findings["summary"]["duplicates"] == [["case3", "case4"]]
    assert "the same scan under several names: case3, case4" in spoilt.page


@pytest.mark.fault(56, "Q")
def test_a_damaged_scan_does_not_stop_the_rest(spoilt: Checked) -> None:
    (problem,) = spoilt.case("case5")["problems"]
    assert f"case5: PROBLEM: {problem}" in spoilt.table
    assert "5 cases of 5 patients, 5 with labels, 3 unusable" in spoilt.notes


@pytest.mark.fault(50, "W")
def test_empty_labels_are_counted(spoilt: Checked) -> None:
    assert "case2: warning: the label is empty" in spoilt.table
    assert "1 label map without any structure" in spoilt.notes
    assert spoilt.findings["summary"]["empty_labels"] == 1


@pytest.mark.fault(60, "W")
def test_unpaired_files_may_be_left_out(spoilt: Checked) -> None:
    item = {"name": "case1", "reason": "image without label", "remedy": "add the missing file"}
    assert spoilt.findings["set_aside"] == [item]
    assert "set aside: case1: image without label (add the missing file)" in spoilt.notes


@pytest.mark.fault(60, "E")
def test_unpaired_files_are_an_error_otherwise(
    slicewise: Slicewise, scans: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    shutil.copytree(scans, root)
    (root / "labels" / "case1.nii.gz").unlink()
    (root / "images" / "case4.nii.gz").unlink()
    done = slicewise("check", root, "--work", tmp_path / "work")
    assert done.returncode == 1
    for text in (str(root), "case1: image without label", "case4: label without", "remedy:"):
        assert text in done.stderr


@pytest.mark.fault(86, "OK")
def test_names_are_inert(spoilt: Checked) -> None:
    assert spoilt.page.count("<script") == 1
    assert "9&lt;script&gt;alert(1)&lt;|script&gt;" in spoilt.page


def test_paths_stay_private(spoilt: Checked) -> None:
    assert "/images/" not in spoilt.everything
    assert set(re.findall(r"(?:src|href)=.(.{5})", spoilt.page)) == {"data:"}


@pytest.fixture(scope="module")
def dicom(slicewise: Slicewise, tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """Two series of one patient and one of another, which lacks a slice; tokens where names are."""
    folder = tmp_path_factory.mktemp("dicom")
    root = folder / "set"
    for number in range(3):
        random = np.random.default_rng(number)
        voxels = random.integers(0, 500, (20, 18, 6)).astype(np.uint16)
        series = root / f"ZTOKEN^{number}" / "ZTOKEN study"
        scan = Volume(voxels, np.diag([-1.0, -1.2, 3.0 + number, 1.0]), f"ZTOKEN{number // 2}")
        write_dicom_series(scan, series, f"private {number}")
        for path in sorted(series.iterdir()):
            header = pydicom.dcmread(path)
            header.SeriesNumber = number + 1
            header.InstitutionName = header.SeriesDescription = "ZTOKEN"
            header.save_as(path.with_name(f"ZTOKEN_{path.name}"))
            path.unlink()
    (root / "ZTOKEN^2" / "ZTOKEN study" / "ZTOKEN_0004.dcm").unlink()
    return check(slicewise, folder, root)


@pytest.mark.fault(3, "Q")
def test_dicom_without_labels(dicom: Checked) -> None:
    assert dicom.code == 8
    cases = dicom.findings["cases"]
    assert [re.sub("^p[a-z2-7]{10}_", "", case["name"]) for case in cases] == [
        "s001_axial_20x18x6",
        "s002_axial_20x18x6",
    ]
    assert [case["patient"] for case in cases] == [1, 1]
    assert "2 cases of 1 patient, 0 with labels, 0 unusable" in dicom.notes
    assert "PROBLEM: 2 images and no label map" in dicom.notes
    assert "patients with several scans: 1, with up to 2 each" in dicom.notes
    (item,) = dicom.findings["set_aside"]
    assert item["name"] == "dicom-1"
    assert "a gap of 10 mm after slice 3 of 5" in item["reason"]
    assert f"set aside: dicom-1: {item['reason']} ({item['remedy']})" in dicom.notes
    assert dicom.page.count("data:image/webp;base64,") == 2


@pytest.mark.fault(95, "OK")
def test_nobody_is_named(dicom: Checked) -> None:
    assert "TOKEN" not in dicom.everything


def test_a_long_list_is_cut(slicewise: Slicewise, tmp_path: Path) -> None:
    root = tmp_path / "set"
    root.mkdir()
    for number in range(23):
        voxels = np.random.default_rng(number).permutation(24).reshape(2, 3, 4)
        # A value that is no number in one of them, filled on request.
        scan = voxels.astype(np.float32)
        scan[0, 0, 0] = np.nan if number == 7 else 0
        nib.save(nib.Nifti1Image(scan, np.eye(4)), root / f"scan{number:02d}.nii")
    checked = check(
        slicewise, tmp_path, root, "--unlabelled", "--set", "reading.non_finite=zero",
        "--set", "data.layout=dicom",
    )  # fmt: skip
    assert checked.code == 0
    rows = re.findall(r"^  (scan\d+)", checked.table, re.MULTILINE)
    assert rows == ["scan07", *(f"scan{number:02d}" for number in range(20) if number != 7)]
    assert "... and 3 more" in checked.notes
    assert len(checked.findings["cases"]) == 23
    (warning,) = checked.case("scan07")["warnings"]
    assert "replaced by 0" in warning


@pytest.mark.data
def test_hippocampus_with_defects(slicewise: Slicewise, test_data: Path, tmp_path: Path) -> None:
    config = Path(__file__).parents[2] / "configs" / "hippocampus.yaml"
    root = test_data / "hippocampus_defects"
    checked = check(slicewise, tmp_path, root, "--config", config, "--allow-unpaired")
    assert checked.code == 8
    names = {item["name"] for item in checked.findings["set_aside"]}
    assert names == {"hippocampus_010", "hippocampus_118", "hippocampus_281"}
    assert "6 cases of 4 patients, 6 with labels, 0 unusable" in checked.notes
    (note,) = checked.case("hippocampus_001")["notes"]
    assert note.startswith("intensity range 97, median 840 (robust z -11")
