"""Predictions find the references of their names."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.evaluation.pairing import Pair, Pairing, label_values, pair_masks


def mask(path: Path, *values: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.array(values or (0, 1)).reshape(1, 1, -1)
    kind = np.float32 if voxels.dtype.kind == "f" else np.int16
    nib.Nifti1Image(voxels.astype(kind), np.eye(4)).to_filename(path)
    return path


def test_two_files_of_any_name(tmp_path: Path) -> None:
    ours, theirs = mask(tmp_path / "ours.nii"), mask(tmp_path / "theirs.nii.gz")
    assert pair_masks(ours, theirs) == Pairing([Pair("theirs", ours, theirs)], [], [])


def test_two_folders(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for name in ("c", "a", "b", "extra"):
        mask(ours / f"{name}.nii.gz")
    for name in ("a", "b", "c", "unused"):
        mask(theirs / f"{name}.nii")
    (ours / "scores.csv").write_text("no mask")
    mask(ours / "._a.nii.gz")
    found = pair_masks(ours, theirs)
    assert found.pairs == [
        Pair(name, ours / f"{name}.nii.gz", theirs / f"{name}.nii") for name in ("a", "b", "c")
    ]
    assert found.only_predicted == ["extra"]


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    ours = mask(tmp_path / "b.nii.gz")
    theirs = [mask(tmp_path / "theirs" / f"{name}.nii.gz") for name in ("a", "b")]
    assert pair_masks(ours, tmp_path / "theirs") == Pairing([Pair("b", ours, theirs[1])], [], ["a"])


def test_nothing_matches(tmp_path: Path) -> None:
    mask(tmp_path / "ours" / "case_01.nii.gz")
    mask(tmp_path / "theirs" / "label_01.nii.gz")
    with pytest.raises(DataError) as caught:
        pair_masks(tmp_path / "ours", tmp_path / "theirs")
    assert caught.value.where == str(tmp_path / "theirs")
    assert "case_01" in caught.value.expected
    assert caught.value.found == "label_01"


def test_an_empty_folder(tmp_path: Path) -> None:
    mask(tmp_path / "ours" / "a.nii")
    (tmp_path / "theirs").mkdir()
    with pytest.raises(DataError, match=r"found: +none"):
        pair_masks(tmp_path / "ours", tmp_path / "theirs")


@pytest.mark.parametrize("missing", ["ours", "theirs"])
def test_a_missing_path(tmp_path: Path, missing: str) -> None:
    for name in {"ours", "theirs"} - {missing}:
        mask(tmp_path / name / "a.nii")
    with pytest.raises(DataError, match="no such file or folder") as caught:
        pair_masks(tmp_path / "ours", tmp_path / "theirs")
    assert caught.value.where == str(tmp_path / missing)


def test_label_values(tmp_path: Path) -> None:
    pair = Pair("a", mask(tmp_path / "a.nii", 0, 5, 2), mask(tmp_path / "b.nii", 2, 300))
    assert label_values([pair]) == [2, 5, 300]
    assert label_values([]) == []


def test_label_values_of_floating_point_files(tmp_path: Path) -> None:
    odd = mask(tmp_path / "a.nii", 0.0, 0.9999, 2.0, np.nan, np.inf)
    assert label_values([Pair("a", odd, odd)]) == [1, 2]


def test_a_damaged_file_has_no_label_values(tmp_path: Path) -> None:
    whole = mask(tmp_path / "a.nii", 0, 3)
    (tmp_path / "b.nii").write_bytes(b"")
    assert label_values([Pair("a", whole, tmp_path / "b.nii")]) == [3]


def test_a_label_may_end_in_seg_and_lie_in_a_subfolder(tmp_path: Path) -> None:
    ours = mask(tmp_path / "ours" / "site" / "a.nii.gz")
    theirs = mask(tmp_path / "theirs" / "site" / "a_seg.nii.gz")
    found = pair_masks(tmp_path / "ours", tmp_path / "theirs")
    assert found.pairs == [Pair("site/a", ours, theirs)]
