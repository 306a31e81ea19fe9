"""Order, gaps, repetitions and tilt of the slices of one series."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from slicewise.errors import GeometryError

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

AXIAL = np.eye(3)
# Columns: direction of a row, direction of a column, their normal. LPS.
SAGITTAL = np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]], dtype=float)
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=float)


def moved(dataset: FileDataset, offset_mm: np.ndarray) -> None:
    here = np.array([float(value) for value in dataset.ImagePositionPatient])
    dataset.ImagePositionPatient = [f"{value:.10f}"[:16] for value in here + offset_mm]


@pytest.mark.fault(1, "OK")
def test_instance_numbers_in_any_order(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    for dataset, number in zip(datasets, [4, 17, 1, 9, 2], strict=True):
        dataset.InstanceNumber = number
    random.Random(3).shuffle(datasets)
    volume = read(write_dicom(datasets))
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ()


@pytest.mark.fault(2, "OK")
@pytest.mark.parametrize("numbers", [[None] * 5, [4, None, 1, 9, 2], [7] * 5])
def test_instance_numbers_are_not_needed(
    numbers: list[int | None], phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets()
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
    volume = read(write_dicom(datasets[::-1]))
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ()


@pytest.mark.fault(3, "Q")
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_middle_slice_says_where(
    missing: int, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    datasets = phantom.datasets()
    before = datasets[missing - 1].SOPInstanceUID
    del datasets[missing]
    folder = write_dicom(datasets)
    error = refused(folder)
    assert isinstance(error, GeometryError)
    assert f"a gap of 7 mm after slice {missing} of 4" in error.found
    assert Path(error.where).name.startswith(f"{hash(before) % 10**8:08d}")
    # What is absent cannot be resampled.
    assert "gap of 7 mm" in refused(folder, irregular_slices="resample").found


@pytest.mark.fault(3, "Q")
def test_every_other_slice_missing(phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets(SpacingBetweenSlices="3.5")[::2]
    error = refused(write_dicom(datasets))
    assert isinstance(error, GeometryError)
    assert "with instance numbers in steps of 2" in error.found


def test_two_interleaved_echoes_are_not_a_gap(phantom: Any, write_dicom: Write, only: Call) -> None:
    every_other = phantom.datasets(SpacingBetweenSlices="7")[::2]
    assert only(write_dicom(every_other)).shape == (11, 7, 3)


@pytest.mark.fault(4, "W")
@pytest.mark.parametrize("reverse", [False, True])
def test_missing_end_slice_is_noticed(
    reverse: bool, phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    if reverse:
        for dataset in datasets:
            dataset.InstanceNumber = 6 - dataset.InstanceNumber
    series = only(write_dicom([one for one in datasets if one.InstanceNumber > 1]))
    assert series.shape == (11, 7, 4)
    assert series.warnings == ("instance numbers start at 2: slices may be missing at one end",)


@pytest.mark.fault(5, "W")
def test_copy_of_a_slice_is_dropped(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = [*phantom.datasets(), phantom.datasets(InstanceNumber=77)[3]]
    volume = read(write_dicom(datasets))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ("1 duplicate slices with equal pixels were excluded",)


@pytest.mark.fault(5, "OK")
def test_copy_of_a_folder_is_a_volume_of_its_own(
    phantom: Any, write_dicom: Write, tmp_path: Path, read_all: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    (tmp_path / "dicom" / "copy").mkdir()
    for file in list(folder.glob("*.dcm")):
        (folder / "copy" / file.name).write_bytes(file.read_bytes())
    volumes = read_all(folder)
    assert [volume.shape for volume in volumes] == [(11, 7, 5)] * 2
    for volume in volumes:
        np.testing.assert_array_equal(volume.voxels, phantom.voxels)


@pytest.mark.fault(6, "Q")
def test_other_pixels_at_one_position(phantom: Any, write_dicom: Write, refused: Call) -> None:
    other = phantom.datasets(InstanceNumber=77, PixelData=bytes(2 * 11 * 7))[3]
    error = refused(write_dicom([*phantom.datasets(), other]))
    assert isinstance(error, GeometryError)
    assert error.where.endswith(": ImagePositionPatient")
    assert "2 different images at one position" in error.found


@pytest.mark.fault(7, "Q")
def test_uneven_distances(phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets()
    moved(datasets[2], 0.1 * phantom.axes[:, 2])
    error = refused(write_dicom(datasets))
    assert isinstance(error, GeometryError)
    assert error.found == "distances from 3.4 to 3.6 mm"
    assert "reading.irregular_slices to resample" in error.remedy


@pytest.mark.fault(8, "OK")
@pytest.mark.parametrize(
    ("offset_mm", "warnings"),
    [
        (0.02, ("slice distances vary by 0.57%; their mean is used",)),
        (0.001, ()),
    ],
)
def test_distances_may_vary_by_less_than_one_percent(
    offset_mm: float, warnings: tuple[str, ...], phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    moved(datasets[2], offset_mm * phantom.axes[:, 2])
    series = only(write_dicom(datasets))
    # The ends did not move, so that the mean distance is the true one.
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)
    assert series.warnings == warnings


@pytest.mark.fault(9, "Q")
def test_gantry_tilt(phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        moved(dataset, number * 3.5 * np.tan(np.radians(10)) * phantom.axes[:, 1])
    error = refused(write_dicom(datasets))
    assert isinstance(error, GeometryError)
    assert "a tilt of 10 degrees" in error.found
    assert "reading.irregular_slices to resample" in error.remedy


@pytest.mark.fault(9, "Q")
def test_one_slice_moved_sideways(phantom: Any, write_dicom: Write, refused: Call) -> None:
    datasets = phantom.datasets()
    moved(datasets[2], 0.5 * phantom.axes[:, 0])
    assert "slices by 0.5 mm" in refused(write_dicom(datasets)).found


@pytest.mark.fault(14, "W")
def test_frames_of_reference_differ_on_one_grid(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    for dataset in datasets:
        dataset.FrameOfReferenceUID = generate_uid()
    series = only(write_dicom(datasets))
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)
    text = "frame-of-reference UIDs differ; the positions form one regular grid"
    assert series.warnings == (text,)


@pytest.mark.fault(14, "Q")
def test_frames_of_reference_differ_and_so_do_distances(
    phantom: Any, write_dicom: Write, refused: Call
) -> None:
    datasets = phantom.datasets()
    for dataset in datasets[3:]:
        dataset.FrameOfReferenceUID = generate_uid()
        moved(dataset, 0.5 * phantom.axes[:, 2])
    assert "distances from" in refused(write_dicom(datasets)).found


@pytest.mark.fault(21, "Q")
@pytest.mark.parametrize("number", [0, 2, 4])
def test_rows_differ_in_one_slice(
    number: int, phantom: Any, write_dicom: Write, refused: Call
) -> None:
    datasets = phantom.datasets()
    datasets[number].Rows, datasets[number].PixelData = 6, bytes(2 * 6 * 11)
    error = refused(write_dicom(datasets))
    assert error.where.endswith(": Rows, Columns")
    assert error.found == "6 x 11"


@pytest.mark.fault(18, "Q")
def test_pixel_spacing_differs_in_one_slice(
    phantom: Any, write_dicom: Write, refused: Call
) -> None:
    datasets = phantom.datasets()
    datasets[4].PixelSpacing = ["1.25", "0.76"]
    error = refused(write_dicom(datasets))
    assert error.where.endswith(": PixelSpacing")
    assert "1.25 x 0.76 mm" in error.reason


@pytest.mark.fault(22, "W")
def test_single_slice_is_as_thick_as_it_says(phantom: Any, write_dicom: Write, read: Call) -> None:
    volume = read(write_dicom(phantom.datasets()[3:4]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels[:, :, 3:4])
    expected = phantom.affine @ [2, 5, 3, 1]
    np.testing.assert_allclose(volume.affine @ [2, 5, 0, 1], expected, atol=1e-6)
    np.testing.assert_allclose(volume.spacing_mm, (0.75, 1.25, 3), atol=1e-9)
    assert volume.warnings == ("a single slice; its thickness is taken from its header",)


@pytest.mark.fault(22, "Q")
def test_single_slice_of_unknown_thickness(phantom: Any, write_dicom: Write, refused: Call) -> None:
    error = refused(write_dicom(phantom.datasets(SliceThickness=None)[:1]))
    assert error.where.endswith(": SliceThickness")


@pytest.mark.fault(25, "OK")
@pytest.mark.fault(26, "OK")
@pytest.mark.parametrize(
    ("axes", "orientation"), [(AXIAL, "LPS"), (SAGITTAL, "PIR"), (CORONAL, "LIP"), (None, "LPS")]
)
def test_anisotropic_pixels_in_any_plane(
    axes: np.ndarray | None, orientation: str, phantom: Any, write_dicom: Write, read: Call
) -> None:
    turned = phantom if axes is None else replace(phantom, axes=axes)
    volume = read(write_dicom(turned.datasets()[::-1]))
    assert volume.orientation == orientation
    np.testing.assert_allclose(volume.spacing_mm, (0.75, 1.25, 3.5), atol=1e-6)
    np.testing.assert_allclose(volume.affine, turned.affine, atol=1e-6)
    np.testing.assert_array_equal(volume.voxels, turned.voxels)


def test_distances_are_those_of_positions_not_of_headers(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets(SliceThickness="9", SpacingBetweenSlices="9")
    assert only(write_dicom(datasets)).affine[2, 2] == pytest.approx(phantom.affine[2, 2])
    positions_mm = [np.array(one.ImagePositionPatient, dtype=float) for one in datasets]
    steps_mm = [np.linalg.norm(above - below) for below, above in pairwise(positions_mm)]
    np.testing.assert_allclose(steps_mm, 3.5)
