"""Siemens mosaics: the slices lie where small images of the same centre would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import FileDataset

from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

CSA_CREATOR = (0x0029, 0x0010)
CSA_IMAGE_HEADER = (0x0029, 0x1010)


@pytest.mark.fault(23, "OK")
@pytest.mark.parametrize("downwards", [False, True])
def test_tiles_become_slices(
    downwards: bool, phantom: Any, mosaic: Call, write_dicom: Write, read: Call
) -> None:
    volume = read(write_dicom([mosaic(downwards)]))
    assert volume.name == "s012_axial_11x7x5"
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    # The direction of the slices is stated with eight digits.
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-5)
    assert volume.warnings == ()


@pytest.mark.fault(23, "OK")
def test_first_tile_has_the_centre_of_the_mosaic(
    phantom: Any, mosaic: Call, write_dicom: Write, only: Call
) -> None:
    dataset = mosaic()
    corner_mm = np.array([float(value) for value in dataset.ImagePositionPatient])
    row, column, _ = phantom.axes.T
    # 33 columns of 0.75 mm and 21 rows of 1.25 mm: the centre lies between the outer pixels.
    centre_mm = corner_mm + row * 0.75 * 16 + column * 1.25 * 10
    affine = only(write_dicom([dataset])).affine
    # 11 columns and 7 rows: the centre is the sixth column of the fourth row.
    ras_mm = centre_mm * [-1, -1, 1]
    np.testing.assert_allclose((affine @ [5, 3, 0, 1])[:3], ras_mm, atol=1e-5)


@pytest.mark.fault(12, "S")
@pytest.mark.fault(23, "OK")
def test_each_file_is_a_moment(
    phantom: Any, mosaic: Call, write_dicom: Write, read_all: Call
) -> None:
    later = mosaic(InstanceNumber=2)
    later.PixelData = (np.frombuffer(later.PixelData, np.int16) + 1000).tobytes()
    volumes = read_all(write_dicom([later, mosaic(InstanceNumber=1)]))
    for number, volume in enumerate(volumes):
        np.testing.assert_array_equal(volume.voxels, phantom.voxels + 1000 * number)
        np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-5)
    assert [volume.name[-5:] for volume in volumes] == ["_v001", "_v002"]


@pytest.mark.fault(27, "OK")
def test_rescaled_mosaic(phantom: Any, mosaic: Call, write_dicom: Write, read: Call) -> None:
    volume = read(write_dicom([mosaic(RescaleSlope="0.5", RescaleIntercept="3")]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels * 0.5 + 3)


def test_distance_of_slices_may_be_stated_as_thickness(
    phantom: Any, mosaic: Call, write_dicom: Write, only: Call
) -> None:
    dataset = mosaic(SliceThickness="3.5")
    del dataset.SpacingBetweenSlices
    np.testing.assert_allclose(only(write_dicom([dataset])).affine, phantom.affine, atol=1e-5)


def without_csa(dataset: FileDataset) -> None:
    del dataset[CSA_IMAGE_HEADER]


def with_damaged_csa(dataset: FileDataset) -> None:
    dataset[CSA_IMAGE_HEADER].value = dataset[CSA_IMAGE_HEADER].value[:150]


def with_zero_normal(dataset: FileDataset) -> None:
    header = dataset[CSA_IMAGE_HEADER].value
    start = header.index(b"SliceNormalVector")
    digits = bytes(ord("0") if byte in b"123456789" else byte for byte in header[start + 84 :])
    dataset[CSA_IMAGE_HEADER].value = header[: start + 84] + digits


def with_two_thousand_tiles(dataset: FileDataset) -> None:
    header = dataset[CSA_IMAGE_HEADER].value
    item, longer = b"\2\0\0\0\2\0\0\0M\0\0\0\2\0\0\0" + b"5\0\0\0", b"2000"
    assert item in header
    several = item.replace(b"\2\0", b"\4\0").replace(b"5\0\0\0", longer)
    dataset[CSA_IMAGE_HEADER].value = header.replace(item, several)


@pytest.mark.fault(23, "Q")
@pytest.mark.parametrize("damage", [without_csa, with_two_thousand_tiles])
def test_number_and_direction_of_slices_are_not_guessed(
    damage: Callable[[FileDataset], None], mosaic: Call, write_dicom: Write, refused: Call
) -> None:
    dataset = mosaic()
    damage(dataset)
    error = refused(write_dicom([dataset]))
    assert isinstance(error, GeometryError)
    assert error.where.endswith(": CSA image header")
    assert "first and last slice cannot be distinguished" in error.found


@pytest.mark.fault(23, "Q")
@pytest.mark.parametrize("damage", [with_damaged_csa, with_zero_normal])
def test_damaged_csa_header(
    damage: Callable[[FileDataset], None], mosaic: Call, write_dicom: Write, refused: Call
) -> None:
    dataset = mosaic()
    damage(dataset)
    refused(write_dicom([dataset]))


@pytest.mark.fault(23, "Q")
@pytest.mark.parametrize("tags", [{"Rows": 20}, {"Columns": 32}])
def test_image_that_tiles_do_not_divide(
    tags: dict[str, int], mosaic: Call, write_dicom: Write, refused: Call
) -> None:
    error = refused(write_dicom([mosaic(**tags)]))
    assert "columns that 3 divides" in error.expected


@pytest.mark.fault(23, "Q")
def test_negative_distance(phantom: Any, mosaic: Call, write_dicom: Write, find: Call) -> None:
    scan = find(write_dicom([mosaic(SpacingBetweenSlices="-3.5")]))
    for series in scan.series:
        np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-5)


@pytest.mark.fault(23, "Q")
def test_distance_beyond_all_numbers(mosaic: Call, write_dicom: Write, refused: Call) -> None:
    refused(write_dicom([mosaic(SpacingBetweenSlices="1e308")]))


@pytest.mark.fault(23, "Q")
def test_distance_below_what_is_a_new_position(
    mosaic: Call, write_dicom: Write, refused: Call
) -> None:
    refused(write_dicom([mosaic(SpacingBetweenSlices="0.001")]))


@pytest.mark.fault(23, "Q")
def test_normal_that_is_none(mosaic: Call, write_dicom: Write, refused: Call) -> None:
    # The patient turned, the private header did not.
    turned = mosaic(ImageOrientationPatient=["1", "0", "0", "0", "0", "-1"])
    assert isinstance(refused(write_dicom([turned])), GeometryError)


def test_private_tag_of_another_vendor(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    for dataset in datasets:
        dataset.private_block(0x0019, "ACME 1.0", create=True).add_new(0x0A, "US", 4)
    np.testing.assert_array_equal(read(write_dicom(datasets)).voxels, phantom.voxels)


@pytest.mark.data
@pytest.mark.fault(23, "OK")
@pytest.mark.parametrize("number", [1, 9])
def test_real_mosaic(number: int, test_data: Path, read: Call) -> None:
    truth = nib.load(test_data / "dcm_qa_ts" / "Ref" / f"{number}.nii")
    ours = read(test_data / "dcm_qa_ts" / "In" / f"{number}.dcm").reoriented("RAS")
    theirs = Volume(np.asanyarray(truth.dataobj), truth.affine).reoriented("RAS")
    np.testing.assert_array_equal(ours.voxels, theirs.voxels)
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-3)
