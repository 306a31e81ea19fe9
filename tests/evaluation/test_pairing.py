"""Predictions find the references of their names."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from slicewise.dataset.mask_sources import add_sources, read_sources
from slicewise.dataset.work_folder import WorkFolder
from slicewise.errors import DataError, GeometryError
from slicewise.evaluation.pairing import Pair, Pairing, label_values, pair_masks, read_pair
from slicewise.imaging.nrrd.writing import write_segmentation_nrrd
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume


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
    with pytest.raises(DataError, match=r"found: +no masks"):
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


def picture(path: Path, *values: int) -> Path:
    """One row of labels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([values], dtype=np.uint8)).save(path)
    return path


def test_references_lie_beside_their_images(tmp_path: Path) -> None:
    ours = mask(tmp_path / "ours" / "p1" / "ed.nii.gz")
    mask(tmp_path / "theirs" / "p1" / "ed.nii.gz")
    theirs = mask(tmp_path / "theirs" / "p1" / "ed_gt.nii.gz")
    pairing = pair_masks(tmp_path / "ours", tmp_path / "theirs")
    assert pairing.pairs == [Pair("p1/ed", ours, theirs)]
    assert pairing.only_reference == []


def test_masks_that_are_pictures(tmp_path: Path) -> None:
    ours = picture(tmp_path / "ours" / "a.png", 0, 255, 7)
    theirs = picture(tmp_path / "theirs" / "a_mask.tif", 255, 255, 0)
    (pair,) = pair_masks(tmp_path / "ours", tmp_path / "theirs").pairs
    assert pair == Pair("a", ours, theirs)
    assert label_values([pair]) == [7, 255]
    predicted, reference = read_pair(pair)
    assert predicted.voxels.ravel().tolist() == [0, 255, 7]
    assert reference.voxels.ravel().tolist() == [255, 255, 0]


def test_labels_of_paletted_masks_are_indices(tmp_path: Path) -> None:
    picture = Image.frombytes("P", (3, 1), bytes([2, 0, 1]))
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "a.png")
    pair = Pair("a", tmp_path / "a.png", tmp_path / "a.png")
    assert [mask.voxels.ravel().tolist() for mask in read_pair(pair)] == [[2, 0, 1]] * 2
    assert label_values([pair]) == [1, 2]


def test_pictures_beside_masks_are_none(tmp_path: Path) -> None:
    path = mask(tmp_path / "ours" / "a.nii.gz")
    picture(tmp_path / "ours" / "examples.png", 1)
    mask(tmp_path / "theirs" / "a.nii.gz")
    found = pair_masks(tmp_path / "ours", tmp_path / "theirs")
    assert found.only_predicted == []
    assert [pair.predicted for pair in found.pairs] == [path]


@pytest.mark.parametrize("other", ["a.dcm", "a.seg.dcm"])
def test_of_one_mask_in_two_formats_nifti_is_taken(tmp_path: Path, other: str) -> None:
    path = mask(tmp_path / "ours" / "a.nii.gz")
    (tmp_path / "ours" / other).write_bytes(b"")
    mask(tmp_path / "theirs" / "a.nii.gz")
    (pair,) = pair_masks(tmp_path / "ours", tmp_path / "theirs").pairs
    assert pair.predicted == path


@pytest.mark.fault(53, "OK")
def test_a_flipped_reference_is_compared_where_it_lies(tmp_path: Path) -> None:
    ours = mask(tmp_path / "ours.nii", 0, 1, 5)
    voxels = np.array([5, 1, 0], dtype=np.int16).reshape(1, 1, 3)
    affine = np.diag([1, 1, -1, 1.0])
    affine[2, 3] = 2
    nib.Nifti1Image(voxels, affine).to_filename(tmp_path / "theirs.nii")
    predicted, reference = read_pair(Pair("a", ours, tmp_path / "theirs.nii"))
    np.testing.assert_array_equal(predicted.voxels, reference.voxels)
    np.testing.assert_array_equal(predicted.affine, reference.affine)


@pytest.mark.parametrize("segmentation", ["predicted", "reference"])
def test_a_dicom_seg_is_read_onto_the_other_mask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segmentation: str
) -> None:
    paths = {"predicted": tmp_path / "p.nii", "reference": tmp_path / "r.nii"}
    paths[segmentation] = tmp_path / "s.seg.dcm"
    paths[segmentation].write_bytes(b"")
    other = next(path for path in paths.values() if path.suffix == ".nii")
    mask(other, 0, 1, 5)

    def read_segmentation(path: Path, onto: Volume, names: object) -> Volume:
        del names
        assert path == tmp_path / "s.seg.dcm"
        return onto.with_voxels(np.array([0, 5, 5]).reshape(1, 1, 3))

    module = "slicewise.imaging.scan.read_segmentation"
    monkeypatch.setattr(module, read_segmentation)
    predicted, reference = read_pair(Pair("a", **paths))
    masks = {"predicted": predicted, "reference": reference}
    assert masks.pop(segmentation).voxels.ravel().tolist() == [0, 5, 5]
    assert masks.popitem()[1].voxels.ravel().tolist() == [0, 1, 5]
    assert label_values([Pair("a", **paths)]) == [1, 5]


def test_masks_on_two_grids(tmp_path: Path) -> None:
    pair = Pair("a", mask(tmp_path / "a.nii", 0, 1), mask(tmp_path / "b.nii", 0, 1, 2))
    with pytest.raises(GeometryError, match="the grid of b"):
        read_pair(pair)


@pytest.mark.fault(137, "OK")
@pytest.mark.parametrize("folders", ["", "study/series"])
def test_masks_of_dicom_find_labels_with_the_names_of_their_folders(
    tmp_path: Path, folders: str
) -> None:
    record = WorkFolder(tmp_path / "work").mask_sources
    for number, patient in enumerate(("Anna", "Berta"), start=1):
        ours = mask(tmp_path / "masks" / f"dicom-{number}.nii.gz")
        mask(tmp_path / "labels" / f"{patient}_seg.nii.gz")
        add_sources(record, {ours: (tmp_path / "scans" / patient / folders,)})
    with pytest.raises(DataError) as caught:
        pair_masks(tmp_path / "masks", tmp_path / "labels")
    assert "`work`" in caught.value.remedy
    found = pair_masks(tmp_path / "masks", tmp_path / "labels", read_sources(record))
    assert [(pair.name, pair.reference.name) for pair in found.pairs] == [
        ("dicom-1", "Anna_seg.nii.gz"),
        ("dicom-2", "Berta_seg.nii.gz"),
    ]
    assert found.by_source == ("dicom-1", "dicom-2")
    assert found.only_predicted == found.only_reference == []
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.fault(137, "Q")
def test_two_masks_of_one_folder_are_not_guessed(tmp_path: Path) -> None:
    ours = [mask(tmp_path / "masks" / f"s{number}.nii.gz") for number in (1, 2, 3)]
    for name in ("Anna", "s3"):
        mask(tmp_path / "labels" / f"{name}.nii.gz")
    sources = {path.resolve(): (tmp_path / "scans" / "Anna" / path.name,) for path in ours}
    found = pair_masks(tmp_path / "masks", tmp_path / "labels", sources)
    assert [pair.name for pair in found.pairs] == ["s3"]
    assert found.only_predicted == ["s1", "s2"]


def test_a_damaged_line_of_the_record_is_left_out(tmp_path: Path) -> None:
    record = tmp_path / "sources.jsonl"
    add_sources(record, {tmp_path / "a.nii.gz": (tmp_path / "scan",)})
    with record.open("a") as file:
        file.write('{"mask": "b')
    assert list(read_sources(record)) == [tmp_path / "a.nii.gz"]
    assert read_sources(tmp_path / "none") == {}


def test_segmentations_of_3d_slicer_are_scored(tmp_path: Path) -> None:
    structure = Structure("lobe", 4, "#FF0000")
    volume = Volume(np.array([0, 4, 4, 0], np.uint8).reshape(1, 2, 2), np.eye(4))
    (tmp_path / "ours").mkdir()
    write_segmentation_nrrd(volume, [structure], tmp_path / "ours" / "a.seg.nrrd")
    mask(tmp_path / "theirs" / "a.nii.gz", 0, 4)
    nib.Nifti1Image(volume.voxels, np.eye(4)).to_filename(tmp_path / "theirs" / "a.nii.gz")
    for one, other in (("ours", "theirs"), ("theirs", "ours"), ("ours", "ours")):
        (pair,) = pair_masks(tmp_path / one, tmp_path / other).pairs
        predicted, reference = read_pair(pair)
        np.testing.assert_array_equal(predicted.voxels, volume.voxels)
        np.testing.assert_array_equal(reference.voxels, volume.voxels)
