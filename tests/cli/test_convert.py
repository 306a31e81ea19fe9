"""``slicewise convert``: volumes, facts, table and quarantine; the input stays as it was."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.volume import Volume
from slicewise.interruption import SignalReceived
from slicewise.workflows.convert import ConvertOptions, convert

Slicewise = Callable[..., Any]


def a_volume(seed: int) -> Volume:
    """Oblique about the third axis, 1.5 x 1.2 x 4 mm, its axes to L, P and S."""
    turn = np.radians(8)
    affine = np.eye(4)
    affine[:2, :2] = [[-np.cos(turn), np.sin(turn)], [-np.sin(turn), -np.cos(turn)]]
    affine = affine @ np.diag([1.5, 1.2, 4.0, 1.0])
    affine[:3, 3] = (20, -7, 3)
    voxels = np.random.default_rng(seed).integers(0, 500, (22, 19, 5)).astype(np.uint16)
    return Volume(voxels, affine, "ZTOKEN")


def write_study(root: Path, number: int) -> Path:
    """A series in folders and under tags that name a patient."""
    folder = root / f"ZTOKEN^{number}" / "ZTOKEN study"
    write_dicom_series(a_volume(number), folder, f"private {number}")
    for path in sorted(folder.iterdir()):
        header = pydicom.dcmread(path)
        header.SeriesNumber = number
        header.EchoTime, header.RepetitionTime = "85", "4000"
        header.Manufacturer = "SIEMENS"
        header.InstitutionName = header.StationName = header.ProtocolName = "ZTOKEN"
        header.save_as(path.with_name(f"ZTOKEN_{path.name}"))
        path.unlink()
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound series, one that lacks a slice, a 4D NIfTI file, and one with a NaN."""
    root = tmp_path_factory.mktemp("study") / "set"
    for number in (1, 2, 3):
        folder = write_study(root, number)
    (folder / "ZTOKEN_0003.dcm").unlink()
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    phases = np.arange(2 * 3 * 4 * 2, dtype=np.int16).reshape(2, 3, 4, 2)
    nib.save(nib.Nifti1Image(phases, affine), root / "cine.nii")
    broken = phases[..., 0].astype(np.float32)
    broken[1, 1, 1] = np.nan
    nib.save(nib.Nifti1Image(broken, affine), root / "map.nii.gz")
    return root


@pytest.fixture(scope="module")
def converted(
    slicewise: Slicewise, study: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """What the call printed, and the folder with its output, table and work folder."""
    folder = tmp_path_factory.mktemp("converted")
    before = contents(study)
    done = slicewise(
        "convert", study, "--out", folder / "out", "--json", folder / "table.json",
        "--work", folder / "work", "--workers", "2",
    )  # fmt: skip
    # The input is never written to.
    assert contents(study) == before
    return done, folder


def names(folder: Path, suffix: str) -> list[str]:
    """Files without the pseudonyms that begin their names."""
    return sorted(
        re.sub("^p[a-z2-7]{10}_", "", path.name) for path in folder.glob(f"out/*{suffix}")
    )


def output(folder: Path, pattern: str) -> Path:
    (path,) = (folder / "out").glob(pattern)
    return path


@pytest.mark.fault(54, "S")
def test_every_volume_has_two_files(converted: tuple[Any, Path]) -> None:
    done, folder = converted
    assert done.returncode == 8, done.stderr
    expected = ["cine_v001", "cine_v002", "s001_t1_axial_22x19x5", "s002_t1_axial_22x19x5"]
    assert names(folder, ".nii.gz") == [f"{name}.nii.gz" for name in expected]
    assert names(folder, ".json") == [f"{name}.json" for name in expected]
    np.testing.assert_array_equal(
        nib.load(output(folder, "cine_v002.nii.gz")).get_fdata(),
        np.arange(48).reshape(2, 3, 4, 2)[..., 1],
    )


def test_voxels_stay_where_they_were(converted: tuple[Any, Path]) -> None:
    image = nib.load(output(converted[1], "*s002*.nii.gz"))
    scan = a_volume(2)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), scan.voxels)
    np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    assert image.get_data_dtype() == np.uint16


def test_facts_lie_beside_the_volume(converted: tuple[Any, Path]) -> None:
    facts = json.loads(output(converted[1], "*s001*.json").read_text())
    expected = {
        "Modality": "MR",
        "Manufacturer": "Siemens",
        "EchoTime": 0.085,
        "RepetitionTime": 4.0,
        "SliceThickness": 4.0,
        "ConversionSoftware": "slicewise",
        "warnings": [],
    }
    assert expected.items() <= facts.items()
    of_nifti = json.loads(output(converted[1], "cine_v001.json").read_text())
    assert set(of_nifti) == {"ConversionSoftware", "ConversionSoftwareVersion", "warnings"}


def test_the_table_tells_what_was_found(converted: tuple[Any, Path]) -> None:
    done, folder = converted
    assert "4 volumes in" in done.stdout
    assert re.search(r"cine_v001 +2x3x4 +1x2x3 +RAS +int16 +1 +1 of 2", done.stdout)
    rows = json.loads((folder / "table.json").read_text())["volumes"]
    row = next(row for row in rows if "s001" in row["name"])
    assert row["shape"] == [22, 19, 5]
    assert row["spacing_mm"] == pytest.approx([1.5, 1.2, 4.0])
    assert (row["orientation"], row["voxel_type"], row["files"]) == ("LPS", "uint16", 5)
    assert [row["volumes_together"] for row in rows] == [2, 2, 1, 1]


@pytest.mark.fault(3, "Q")
@pytest.mark.fault(39, "Q")
def test_what_is_set_aside_is_listed_in_private(converted: tuple[Any, Path]) -> None:
    done, folder = converted
    quarantine = folder / "work" / "convert" / "quarantine.jsonl"
    assert quarantine.stat().st_mode & 0o777 == 0o600
    series, broken = (json.loads(line) for line in quarantine.read_text().splitlines())
    assert series["name"] == "dicom-1"
    assert "ZTOKEN^3" in series["where"]
    assert "a gap of 8 mm" in series["reason"]
    assert series["remedy"]
    assert broken["name"] == "map"
    assert "1 NaN or infinite voxels" in broken["reason"]
    for item in (series, broken):
        assert f"set aside: {item['name']}: {item['reason']} ({item['remedy']})" in done.stderr


@pytest.mark.fault(95, "OK")
def test_nobody_is_named(converted: tuple[Any, Path]) -> None:
    done, folder = converted
    assert "TOKEN" not in done.stdout + done.stderr
    assert "TOKEN" not in (folder / "table.json").read_text()
    for path in (folder / "out").rglob("*"):
        assert "TOKEN" not in path.name
        content = nib.load(path).header.binaryblock if path.suffix == ".gz" else path.read_bytes()
        assert b"TOKEN" not in content


def test_results_are_replaced_only_on_request(
    slicewise: Slicewise, converted: tuple[Any, Path], tmp_path: Path
) -> None:
    del converted
    out = tmp_path / "out"
    scan = tmp_path / "scan.nii"
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), scan)
    arguments = ("convert", scan, "--out", out, "--work", tmp_path / "work")
    assert slicewise(*arguments).returncode == 0
    (out / "scan.nii.gz").write_bytes(b"mine")
    refused = slicewise(*arguments)
    assert refused.returncode == 2
    assert "2 files, such as scan.nii.gz" in refused.stderr
    assert (out / "scan.nii.gz").read_bytes() == b"mine"
    assert slicewise(*arguments, "--overwrite").returncode == 0
    assert nib.load(out / "scan.nii.gz").shape == (2, 3, 4)


@pytest.mark.fault(107, "E")
def test_how_an_interrupted_conversion_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise SignalReceived(signal.SIGTERM)

    monkeypatch.setattr("slicewise.workflows.convert.run_on_scans", interrupt)
    scan = tmp_path / "scan.nii"
    nib.save(nib.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), scan)
    with pytest.raises(SignalReceived) as received:
        convert(ConvertOptions(scan, tmp_path / "out", work=tmp_path / "work"))
    assert received.value.where == tmp_path / "out"
    assert "again with `overwrite`" in received.value.remedy


@pytest.mark.fault(7, "W")
def test_uneven_slices_are_resampled_on_request(slicewise: Slicewise, tmp_path: Path) -> None:
    root = tmp_path / "set"
    for path in sorted(write_study(root, 1).iterdir()):
        header = pydicom.dcmread(path)
        if header.InstanceNumber == 5:
            header.ImagePositionPatient[2] += 0.8
            header.save_as(path)
    arguments = ("convert", root, "--work", tmp_path / "work", "--out", tmp_path / "out")
    assert slicewise(*arguments).returncode == 1
    done = slicewise(*arguments, "--set", "reading.irregular_slices=resample")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "out").glob("*.json")
    assert any("resampled" in text for text in json.loads(path.read_text())["warnings"])


@pytest.mark.parametrize("option", ["--out", "--work"])
def test_nothing_is_written_into_the_input(
    slicewise: Slicewise, study: Path, tmp_path: Path, option: str
) -> None:
    before = contents(study)
    folders = {"--out": tmp_path / "out", "--work": tmp_path / "work"} | {option: study / "inside"}
    done = slicewise("convert", study, *(part for pair in folders.items() for part in pair))
    assert done.returncode == 2
    for text in (f"{option} {study / 'inside'}", "outside of the input", "remedy:"):
        assert text in done.stderr
    assert contents(study) == before


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("training.steps=3", "no other section affects a conversion"),
        ("reading.non_finit=zero", "non_finite"),
    ],
)
def test_only_reading_can_be_set(
    slicewise: Slicewise, study: Path, tmp_path: Path, override: str, text: str
) -> None:
    done = slicewise(
        "convert", study, "--out", tmp_path / "out", "--work", tmp_path / "work",
        "--set", override,
    )  # fmt: skip
    assert done.returncode == 2
    assert text in done.stderr
    assert not (tmp_path / "out").exists()


def test_help_shows_examples(slicewise: Slicewise) -> None:
    done = slicewise("convert", "--help")
    assert done.returncode == 0
    assert "slicewise convert dicom_folder --out nifti" in done.stdout


def test_a_missing_input(slicewise: Slicewise, tmp_path: Path) -> None:
    missing = tmp_path / "none"
    done = slicewise("convert", missing, "--out", tmp_path / "out", "--work", tmp_path / "work")
    assert done.returncode == 1
    assert str(missing) in done.stderr


@pytest.mark.data
def test_real_series(slicewise: Slicewise, test_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = slicewise("convert", test_data / "dicom/Study3", "--out", out, "--work", tmp_path / "w")
    assert done.returncode == 0, done.stderr
    flair = next(out.glob("*flair*.json"))
    facts = json.loads(flair.read_text())
    assert facts["InversionTime"] == 2.6
    assert nib.load(flair.with_suffix(".nii.gz")).shape == (280, 320, 22)
