"""The check of a case: what is there, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase, Examined, Intensities, examine
from slicewise.dataset.layouts import read_catalogue

Pair = Callable[..., Path]
Write = Callable[..., Path]
LABELS = {"first": 2, "second": 5}


def examined(root: Path, labels: dict[str, int] = LABELS, **sections: Any) -> dict[str, Examined]:
    data = {"root": root, "labels": labels} | sections.pop("data", {})
    config = Config.model_validate(
        {"name": "check", "data": data, "training": {"steps": 1}, **sections}
    )
    return {case.name: examine(case, config) for case in read_catalogue(config.data).cases}


def check(root: Path, labels: dict[str, int] = LABELS, **sections: Any) -> dict[str, CheckedCase]:
    found = examined(root, labels, **sections)
    return {name: one.case for name, one in found.items()}


def test_a_good_case_is_described(pair: Pair) -> None:
    case = check(pair("a"))["a"]
    assert not [*case.problems, *case.warnings, *case.notes]
    assert case.labelled
    assert case.shape == (10, 13, 6)
    np.testing.assert_allclose(case.spacing_mm, (0.9, 1.3, 3.5), rtol=1e-5)
    assert case.orientation == "RAS"
    assert case.plane == "axial"
    # 18 voxels each of 0.9 x 1.3 x 3.5 mm, in millilitres.
    assert case.structures == {
        2: pytest.approx(18 * 4.095e-3, abs=1e-4),
        5: pytest.approx(18 * 4.095e-3, abs=1e-4),
    }


def test_intensities_are_robust_and_extreme(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    voxels = np.zeros(1001 * 2, dtype=np.int32).reshape(1001, 2, 1)
    voxels[:, 0, 0] = voxels[:, 1, 0] = np.arange(1001)
    voxels[1000] = 10**6
    write(root / "images" / "a.nii.gz", voxels, scan.affine)
    (root / "labels" / "a.nii.gz").unlink()
    (found,) = check(root, data={"layout": "dicom", "root": root / "images"})[
        "a"
    ].intensities.items()
    # Every value from 0 to 1000 twice: percentiles are the values themselves, but for the last.
    assert found == ("image", Intensities(0, 10, 500, 990, 10**6))
    assert found[1].scale == 980


def test_the_plane_may_be_chosen(pair: Pair) -> None:
    assert check(pair("a"), preprocessing={"plane": "sagittal"})["a"].plane == "sagittal"


def test_volumes_are_handed_on(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    stored = scan.stored((2, 0, 1), (0, 2))
    write(root / "labels" / "a.nii.gz", stored.label, stored.affine)
    found = examined(root)["a"]
    assert found.image is not None
    assert found.label is not None
    np.testing.assert_array_equal(found.image.voxels, scan.voxels)
    np.testing.assert_array_equal(found.label.voxels, scan.label)


def test_the_digest_knows_a_scan_in_another_order_and_type(
    pair: Pair, write: Write, scan: Any
) -> None:
    root = pair("a", "b", "c")
    stored = scan.stored((1, 2, 0), (1,))
    write(root / "images" / "b.nii.gz", stored.voxels.astype(np.float32), stored.affine)
    write(root / "labels" / "b.nii.gz", stored.label, stored.affine)
    cases = check(root)
    assert cases["a"].digests == cases["b"].digests != cases["c"].digests
    assert cases["a"].label_digest == cases["b"].label_digest == cases["c"].label_digest


@pytest.mark.fault(50, "W")
def test_an_empty_label_is_a_warning(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    write(root / "labels" / "a.nii.gz", np.zeros_like(scan.label), scan.affine)
    case = check(root)["a"]
    assert case.problems == []
    assert case.warnings == ["the label is empty"]


@pytest.mark.fault(52, "Q")
def test_a_label_on_another_grid_is_a_problem(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a", "b")
    shifted = scan.affine.copy()
    shifted[2, 3] += 1
    write(root / "labels" / "a.nii.gz", scan.label, shifted)
    found = examined(root)
    (problem,) = found["a"].case.problems
    assert "corners 1.11 voxels apart" in problem
    # The image can be looked at all the same.
    assert found["a"].image is not None
    assert found["a"].label is None
    assert found["b"].case.problems == []


@pytest.mark.fault(53, "OK")
def test_a_label_stored_in_another_order_is_fine(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    stored = scan.stored((2, 0, 1), (0, 2))
    write(root / "labels" / "a.nii.gz", stored.label, stored.affine)
    assert not [*check(root)["a"].problems, *check(root)["a"].warnings, *check(root)["a"].notes]


@pytest.mark.fault(49, "E")
def test_values_that_the_config_does_not_name(pair: Pair) -> None:
    root = pair("a")
    assert check(root, {"first": 2})["a"].problems == ["label value 5 is not in data.labels"]
    # Without names, the check tells what there is.
    case = check(root, {})["a"]
    assert case.problems == []
    assert set(case.structures) == {2, 5}


@pytest.mark.fault(48, "Q")
@pytest.mark.parametrize("value", [0.5, np.nan])
def test_labels_that_are_no_whole_numbers(
    pair: Pair, write: Write, scan: Any, value: float
) -> None:
    root = pair("a")
    label = scan.label.astype(np.float32)
    label[0, 0, 0] = value
    write(root / "labels" / "a.nii.gz", label, scan.affine)
    case = check(root)["a"]
    assert len(case.problems) == 1
    assert case.structures == {}


@pytest.mark.fault(47, "W")
def test_labels_beside_whole_numbers(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    write(root / "labels" / "a.nii.gz", scan.label.astype(np.float32) + 5e-4, scan.affine)
    case = check(root)["a"]
    (warning,) = case.warnings
    assert warning.startswith("label: ")
    assert "whole numbers" in warning
    assert set(case.structures) == {2, 5}


@pytest.mark.fault(39, "Q")
def test_voxels_that_are_no_numbers(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    voxels = scan.voxels.astype(np.float32)
    voxels[0, 0, :2] = np.nan
    write(root / "images" / "a.nii.gz", voxels, scan.affine)
    case = check(root)["a"]
    assert case.problems == ["2 NaN or infinite voxels; replace them with reading.non_finite: zero"]
    assert case.intensities == {}
    filled = check(root, reading={"non_finite": "zero"})["a"]
    assert filled.problems == []
    assert filled.intensities["image"].lowest == 0


@pytest.mark.fault(38, "W")
def test_a_flat_volume_is_a_warning(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    write(root / "images" / "a.nii.gz", np.full_like(scan.voxels, 7), scan.affine)
    assert "every voxel has the value 7" in check(root)["a"].warnings


@pytest.mark.fault(56, "Q")
def test_a_damaged_file_is_a_problem_of_its_case(pair: Pair) -> None:
    root = pair("a", "b")
    path = root / "images" / "a.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    found = examined(root)
    assert len(found["a"].case.problems) == 1
    assert found["a"].image is None
    assert str(root) not in found["a"].case.problems[0]
    assert found["b"].case.problems == []


def test_contrasts_are_told_apart(tmp_path: Path, write: Write, scan: Any) -> None:
    for number, voxels in enumerate((scan.voxels, np.full_like(scan.voxels, 3))):
        write(tmp_path / "imagesTr" / f"a_{number:04d}.nii.gz", voxels, scan.affine)
    (tmp_path / "dataset.json").write_text("{}")
    case = check(tmp_path, data={"contrasts": ["T1", "T2"]})["a"]
    assert set(case.intensities) == {"T1", "T2"}
    assert case.intensities["T1"].highest == scan.voxels.max()
    assert "T2: every voxel has the value 3" in case.warnings
    assert not case.labelled


# Several contrasts


def two_contrasts(
    folder: Path, write: Write, scan: Any, affine: Any, **sections: Any
) -> CheckedCase:
    """A case of T1 and, on the grid of ``affine``, T2."""
    write(folder / "set" / "a_0000.nii.gz", scan.voxels, scan.affine)
    if affine is not None:
        write(folder / "set" / "a_0001.nii.gz", scan.voxels[:, ::-1].copy(), affine)
    data = {"contrasts": ("T1", "T2")} | sections.pop("data", {})
    return check(folder / "set", labels={}, data=data, **sections)["a"]


def test_contrasts_on_different_grids_name_the_option(
    tmp_path: Path, write: Write, scan: Any
) -> None:
    shifted = scan.affine.copy()
    shifted[2, 3] += 1
    (problem,) = two_contrasts(tmp_path, write, scan, shifted).problems
    assert problem.startswith("T2: expected the grid of a_0000")
    assert "reading.different_grids to resample" in problem
    case = two_contrasts(tmp_path, write, scan, shifted, reading={"different_grids": "resample"})
    assert case.problems == []
    assert "T2 was resampled from 0.9 x 1.3 x 3.5 mm onto 0.9 x 1.3 x 3.5 mm" in case.warnings
    # What lies in the scan itself, not what was made of it.
    assert case.intensities["T2"] == case.intensities["T1"]


def test_contrasts_that_do_not_overlap_are_a_problem(
    tmp_path: Path, write: Write, scan: Any
) -> None:
    far = scan.affine.copy()
    far[0, 3] += 400
    (problem,) = two_contrasts(
        tmp_path, write, scan, far, reading={"different_grids": "resample"}
    ).problems
    assert "an overlap with the grid of a_0000" in problem


def test_a_missing_contrast_is_a_warning(tmp_path: Path, write: Write, scan: Any) -> None:
    case = two_contrasts(tmp_path, write, scan, None, data={"missing_contrasts": "zero"})
    assert case.problems == []
    assert case.warnings == ["T2 is missing and replaced by zeros"]
    assert set(case.intensities) == {"T1"}


def test_warnings_of_several_contrasts_say_whose_they_are(
    tmp_path: Path, write: Write, scan: Any
) -> None:
    write(tmp_path / "set" / "a_0001.nii.gz", np.full_like(scan.voxels, 7), scan.affine)
    case = two_contrasts(tmp_path, write, scan, None)
    assert case.warnings == ["T2: every voxel has the value 7"]
