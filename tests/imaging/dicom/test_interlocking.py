"""Stacks that interlock are one volume; repeated identifiers make no copy of another place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from tests.linear_time import linear_time

from slicewise.imaging.dicom.copies import originals_and_copies
from slicewise.imaging.dicom.interlocking import with_interlocking_joined
from slicewise.imaging.dicom.series import CONTINUED, DicomSeries, warned_of_neighbours
from slicewise.imaging.dicom.slice_header import SliceHeader

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


def in_stacks(whole: FileDataset, stack_of: Callable[[int], int]) -> FileDataset:
    for number, frame in enumerate(whole.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].StackID = str(stack_of(number))
    return whole


@pytest.mark.fault(125, "OK")
@pytest.mark.parametrize("stacks", [2, 3])
def test_stacks_that_interlock_are_one_volume(
    stacks: int, phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    phantom.slices = 9
    whole = in_stacks(enhanced(range(9), phantom=phantom), lambda number: number % stacks)
    volume = read(write_dicom([whole]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.warnings == ()


@pytest.mark.fault(125, "S")
def test_stacks_next_to_each_other_are_volumes(
    phantom: Any, enhanced: Call, write_dicom: Write, read_all: Call
) -> None:
    phantom.slices = 8
    whole = in_stacks(enhanced(range(8), phantom=phantom), lambda number: number // 4)
    assert [volume.shape for volume in read_all(write_dicom([whole]))] == [(11, 7, 4)] * 2


@pytest.mark.fault(125, "S")
def test_stacks_between_each_other_off_the_grid_are_volumes(
    phantom: Any, enhanced: Call, write_dicom: Write, read_all: Call
) -> None:
    phantom.slices = 8
    whole = in_stacks(enhanced(range(8), phantom=phantom), lambda number: number % 2)
    for frame in whole.PerFrameFunctionalGroupsSequence[1::2]:
        place = frame.PlanePositionSequence[0]
        moved_mm = np.array(place.ImagePositionPatient, float) + 0.8 * phantom.axes[:, 2]
        place.ImagePositionPatient = [f"{value:.10f}"[:16] for value in moved_mm]
    assert [volume.shape for volume in read_all(write_dicom([whole]))] == [(11, 7, 4)] * 2


def in_folders(root: Path, *parts: list[FileDataset]) -> Path:
    for number, datasets in enumerate(parts):
        folder = root / f"part{number}"
        folder.mkdir(parents=True)
        for count, dataset in enumerate(datasets):
            dcmwrite(folder / f"{count}.dcm", dataset, enforce_file_format=True)
    return root


def with_identifiers_of(datasets: list[FileDataset], others: list[FileDataset]) -> None:
    for dataset, other in zip(datasets, others, strict=True):
        dataset.SOPInstanceUID = other.SOPInstanceUID
        dataset.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID


@pytest.mark.fault(126, "OK")
def test_identifiers_that_repeat_in_two_halves(phantom: Any, tmp_path: Path, read: Call) -> None:
    phantom.slices = 8
    datasets = phantom.datasets()
    with_identifiers_of(datasets[4:], datasets[:4])
    volume = read(in_folders(tmp_path, datasets[:4], datasets[4:]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)


@pytest.mark.fault(126, "OK")
def test_identifiers_that_repeat_in_alternate_slices(
    phantom: Any, tmp_path: Path, read: Call
) -> None:
    phantom.slices = 8
    datasets = phantom.datasets()
    with_identifiers_of(datasets[1::2], datasets[::2])
    volume = read(in_folders(tmp_path, datasets[::2], datasets[1::2]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)


@pytest.mark.fault(126, "Q")
def test_a_part_with_other_pixels_is_no_copy(phantom: Any, tmp_path: Path, refused: Call) -> None:
    datasets, others = phantom.datasets(), phantom.datasets()
    with_identifiers_of(others, datasets)
    for other in others:
        other.PixelData = bytes(len(other.PixelData))
    error = refused(in_folders(tmp_path, datasets, others[:2]))
    assert "2 different images at one position" in error.found


def test_a_complete_copy_is_a_volume_as_well(phantom: Any, tmp_path: Path, read_all: Call) -> None:
    datasets = phantom.datasets()
    volumes = read_all(in_folders(tmp_path, datasets, datasets))
    assert [volume.shape for volume in volumes] == [(11, 7, 5)] * 2


def a_slice(number: int, **facts: Any) -> SliceHeader:
    """The only slice of a patient, of a series that all patients share."""
    usual: dict[str, Any] = {
        "path": Path(f"{number:06d}/1"),
        "frame": 0,
        "tiles": 0,
        "patient_id": f"P{number}",
        "study_uid": "1",
        "series_uid": "1",
        "instance_uid": f"1.{number}",
        "series_number": 1,
        "instance_number": 1,
        "contrast": "",
        "kind": (0.0, "", "", "", ""),
        "moments": (),
        "trigger_time_ms": None,
        "position_mm": (0.0, 0.0, float(number)),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "row_spacing_mm": 1.0,
        "column_spacing_mm": 1.0,
        "thickness_mm": None,
        "stated_step_mm": None,
        "frame_of_reference": "",
        "rows": 4,
        "columns": 4,
        "voxel_type": "uint16",
        "rescale": (1.0, 0.0),
        "notes": (),
    }
    return SliceHeader(**(usual | facts))


def no_digests(frames: Sequence[tuple[Path, int]]) -> list[str]:
    raise AssertionError(frames)


def test_stacks_of_ten_thousand_patients_in_one_series() -> None:
    many = [[a_slice(number)] for number in range(10_000)]
    with linear_time():
        assert with_interlocking_joined(many, no_digests) == many


def test_folders_of_twenty_thousand_patients_in_one_series() -> None:
    many = [a_slice(number) for number in range(20_000)]
    with linear_time():
        assert originals_and_copies(many, no_digests) == [many]


def test_twenty_thousand_copies_of_a_series() -> None:
    many = [a_slice(number, instance_uid="1", position_mm=(0.0, 0, 0)) for number in range(20_000)]
    with linear_time():
        assert originals_and_copies(many, no_digests) == [[one] for one in many]


def test_thousands_of_incomplete_copies_of_a_series() -> None:
    def part(folder: int, number: int) -> SliceHeader:
        return a_slice(number, path=Path(f"{folder:04d}/{number}"))

    whole = [part(0, number) for number in range(2000)]
    parts = [part(folder, folder) for folder in range(1, 2000)]
    with linear_time():
        found = originals_and_copies([*whole, *parts], lambda frames: ["same"] * len(frames))
    assert found == [whole]


def test_twenty_thousand_pictures_in_one_series() -> None:
    one = DicomSeries("s", Path(), ("1",), (0,), 0, np.eye(4), (4, 4, 1), "uint8")
    stack = replace(one, shape=(4, 4, 5))
    affine = np.eye(4)
    affine[2, 3] = 5
    following = replace(one, affine=affine)
    far = replace(one, affine=affine + 9)
    with linear_time():
        found = warned_of_neighbours([stack, *[far] * 20_000, following, far])
    assert [series.warnings for series in found if series.warnings] == [(CONTINUED,)]
