"""Which files of a series make which volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]
REVERSED = {"PixelData": np.arange(5 * 7 * 11, dtype=np.int16)[::-1].tobytes()[: 2 * 7 * 11]}


def flat(phantom: Any, value: int, **tags: Any) -> list[FileDataset]:
    """The phantom's slices, all voxels of them with one value but for the first."""
    datasets = phantom.datasets(**tags)
    for dataset in datasets:
        pixels = np.full(phantom.rows * phantom.columns, value, dtype=np.int16)
        pixels[0] = 1
        dataset.PixelData = pixels.tobytes()
    return datasets


@pytest.mark.fault(10, "S")
def test_localizer_is_a_volume_of_its_own(phantom: Any, write_dicom: Write, read_all: Call) -> None:
    localizer = flat(
        phantom,
        500,
        ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"],
        InstanceNumber=99,
    )[:1]
    volumes = read_all(write_dicom([*phantom.datasets(), *localizer]))
    whole, single = sorted(volumes, key=lambda one: -one.shape[2])
    np.testing.assert_array_equal(whole.voxels, phantom.voxels)
    np.testing.assert_allclose(whole.affine, phantom.affine, atol=1e-6)
    assert single.shape == (11, 7, 1)
    assert single.voxels[5, 5, 0] == 500
    assert single.orientation[:2] == "PI"


@pytest.mark.fault(11, "S")
@pytest.mark.fault(12, "S")
@pytest.mark.fault(13, "S")
@pytest.mark.parametrize(
    "tags",
    [
        {"EchoTime": "80"},
        {"EchoNumbers": 2},
        {"TemporalPositionIdentifier": 2},
        {"AcquisitionNumber": 2},
        {"AcquisitionTime": "101500"},
        {"InversionTime": "900"},
        {"FlipAngle": "15"},
        {"DiffusionBValue": 1000.0},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
    ],
    ids=lambda tags: next(iter(tags)),
)
def test_two_contrasts_are_two_volumes(
    tags: dict[str, Any], phantom: Any, write_dicom: Write, read_all: Call
) -> None:
    datasets = [*phantom.datasets(), *flat(phantom, 500, **tags)]
    first, second = sorted(read_all(write_dicom(datasets)), key=lambda one: one.voxels[5, 5, 4])
    assert {first.name[-5:], second.name[-5:]} == {"_v001", "_v002"}
    np.testing.assert_array_equal(first.voxels, phantom.voxels)
    assert (second.voxels[1:] == 500).all()
    for volume in (first, second):
        np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
        assert volume.warnings == ()


@pytest.mark.fault(13, "S")
def test_ge_tells_real_from_imaginary_by_a_private_tag(
    phantom: Any, write_dicom: Write, read_all: Call
) -> None:
    real, imaginary = phantom.datasets(), flat(phantom, 500)
    for part, datasets in enumerate((real, imaginary)):
        for dataset in datasets:
            dataset.private_block(0x0043, "GEMS_PARM_01", create=True).add_new(0x2F, "SS", part + 2)
    volumes = read_all(write_dicom(real + imaginary))
    assert [volume.shape for volume in volumes] == [(11, 7, 5)] * 2
    assert [int(volume.voxels[5, 5, 4]) for volume in volumes] == [phantom.voxels[5, 5, 4], 500]


def test_acquisition_numbers_alone_do_not_split(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = number % 2
    assert only(write_dicom(datasets)).shape == (11, 7, 5)


@pytest.mark.fault(12, "S")
def test_cine_is_told_apart_by_trigger_time(
    phantom: Any, write_dicom: Write, read_all: Call
) -> None:
    phases = [flat(phantom, 100 * phase) for phase in range(3)]
    for phase, datasets in enumerate(phases):
        for number, dataset in enumerate(datasets):
            # The times of one phase differ from slice to slice, as heart beats do.
            dataset.TriggerTime = str(phase * (40 + number))
            dataset.InstanceNumber = 1 + number * 3 + phase
    volumes = read_all(write_dicom([one for phase in phases for one in phase]))
    assert [volume.shape for volume in volumes] == [(11, 7, 5)] * 3
    for phase, volume in enumerate(volumes):
        assert (volume.voxels[1:] == 100 * phase).all()


@pytest.mark.fault(12, "S")
@pytest.mark.parametrize("by_position", [False, True])
def test_repetitions_are_told_apart_by_instance_number_alone(
    by_position: bool, phantom: Any, write_dicom: Write, read_all: Call
) -> None:
    repetitions = [flat(phantom, 100 * repetition) for repetition in range(3)]
    for repetition, datasets in enumerate(repetitions):
        for number, dataset in enumerate(datasets):
            dataset.InstanceNumber = (
                1 + number * 3 + repetition if by_position else 1 + repetition * 5 + number
            )
    volumes = read_all(write_dicom([one for many in repetitions for one in many]))
    assert [int(volume.voxels[5, 5, 4]) for volume in volumes] == [0, 100, 200]
    for volume in volumes:
        assert len(np.unique(volume.voxels[1:])) == 1
        assert "3 volumes are distinguished by instance number only" in volume.warnings


@pytest.mark.fault(12, "Q")
def test_incomplete_repetition_is_not_guessed(
    phantom: Any, write_dicom: Write, refused: Call
) -> None:
    second = flat(phantom, 500, TemporalPositionIdentifier=2)[:3]
    first = phantom.datasets(TemporalPositionIdentifier=1)
    error = refused(write_dicom([*first, *second]))
    assert "8 images at 5 positions" in error.found


def test_two_series_in_one_folder(phantom: Any, write_dicom: Write, find: Call) -> None:
    other = phantom.datasets(SeriesInstanceUID=generate_uid(), SeriesNumber=3)
    scan = find(write_dicom([*phantom.datasets(), *other]))
    assert [one.name for one in scan.series] == ["s003_axial_11x7x5", "s012_axial_11x7x5"]


def test_images_of_two_sizes_are_two_volumes(phantom: Any, write_dicom: Write, find: Call) -> None:
    small = phantom.datasets(Rows=6, PixelData=bytes(2 * 6 * 11))
    scan = find(write_dicom([*phantom.datasets(), *small]))
    assert [one.shape for one in scan.series] == [(11, 6, 5), (11, 7, 5)]


def test_patients_without_series_are_never_mixed(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    datasets = phantom.datasets(SeriesInstanceUID=None)
    for number, dataset in enumerate(datasets):
        dataset.PatientID = "lower half" if number < 3 else "upper half"
    scan = find(write_dicom(datasets))
    assert (11, 7, 5) not in [one.shape for one in scan.series]


@pytest.mark.fault(12, "S")
def test_repetitions_with_an_empty_slice(phantom: Any, write_dicom: Write, read_all: Call) -> None:
    first, second = flat(phantom, 0), flat(phantom, 100)
    for number, dataset in enumerate(second):
        dataset.InstanceNumber = 6 + number
    first[4].PixelData = second[4].PixelData = bytes(2 * 77)
    volumes = read_all(write_dicom(first + second))
    assert [int(volume.voxels[5, 5, 0]) for volume in volumes] == [0, 100]


@pytest.mark.fault(5, "OK")
def test_copy_of_a_part_makes_no_part_of_a_volume(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    for number, file in enumerate(sorted(folder.iterdir())):
        for name in ("a", "copy of a") if number < 2 else ("b",):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / file.name).write_bytes(file.read_bytes())
        file.unlink()
    assert read(folder).shape == (11, 7, 5)


@pytest.mark.fault(5, "W")
def test_series_in_two_folders_with_one_slice_in_both(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    for number, file in enumerate(sorted(folder.iterdir())):
        for name in ("a", "b") if number == 2 else ("a",) if number < 2 else ("b",):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / file.name).write_bytes(file.read_bytes())
        file.unlink()
    assert read(folder).shape == (11, 7, 5)


def test_patients_of_one_series_are_never_mixed(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    # As after an anonymisation that gives the same identifiers to everybody.
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        dataset.PatientID = "lower half" if number < 3 else "upper half"
    scan = find(write_dicom(datasets))
    assert (11, 7, 5) not in [one.shape for one in scan.series]


@pytest.mark.fault(4, "W")
def test_end_slice_of_another_contrast_is_noticed(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    # As after damage to a single tag: the end of the scan is gone from its volume.
    datasets = phantom.datasets()
    datasets[4].ImageType = ["ORIGINAL", "PRIMARY", "M", "NORM"]
    whole, single = sorted(find(write_dicom(datasets)).series, key=lambda one: -one.shape[2])
    assert (whole.shape[2], single.shape[2]) == (4, 1)
    assert whole.warnings


@pytest.mark.fault(5, "W")
def test_every_slice_twice(phantom: Any, write_dicom: Write, read: Call) -> None:
    first, second = phantom.datasets(), phantom.datasets()
    for number, dataset in enumerate(second):
        dataset.InstanceNumber = 6 + number
    volume = read(write_dicom(first + second))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.warnings == ("5 duplicate slices with equal pixels were excluded",)
