"""Enhanced multi-frame objects become the volumes that their frames make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset

from slicewise.errors import GeometryError, ScanError
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

TWICE = [0, 1, 2, 3, 4] * 2
PHILIPS = ("Philips: the standard rescale is applied, not the private scaling",)


def group(**tags: Any) -> list[Dataset]:
    """A functional group: a sequence of one item."""
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return [item]


def frames_of(whole: FileDataset) -> list[Dataset]:
    return list(whole.PerFrameFunctionalGroupsSequence)


@pytest.mark.fault(24, "OK")
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [3, 1, 4, 0, 2]])
def test_frames_in_any_order(
    order: list[int], phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    volume = read(write_dicom([enhanced(order)]))
    assert volume.name == "s012_axial_11x7x5"
    assert volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.warnings == ()


@pytest.mark.fault(24, "OK")
def test_facts_of_the_frame_go_before_those_of_all_frames(
    phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    whole = enhanced()
    wrong = group(ImagePositionPatient=["9", "9", "9"])
    whole.SharedFunctionalGroupsSequence[0].PlanePositionSequence = wrong
    whole.ImagePositionPatient = ["8", "8", "8"]
    np.testing.assert_allclose(read(write_dicom([whole])).affine, phantom.affine, atol=1e-6)


@pytest.mark.fault(24, "OK")
@pytest.mark.fault(27, "OK")
def test_each_frame_has_its_own_rescale(
    phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    order = [3, 1, 4, 0, 2]
    whole = enhanced(order)
    for number, frame in zip(order, frames_of(whole), strict=True):
        frame.PixelValueTransformationSequence = group(
            RescaleSlope=str(1 + number), RescaleIntercept=str(-number)
        )
    numbers = np.arange(5)
    expected = (phantom.voxels * (1.0 + numbers) - numbers).astype(np.float32)
    np.testing.assert_array_equal(read(write_dicom([whole])).voxels, expected)


@pytest.mark.fault(24, "OK")
def test_a_volume_in_two_files(
    phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    volume = read(write_dicom([enhanced([4, 1]), enhanced([3, 0, 2])]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)


def test_one_frame(phantom: Any, enhanced: Call, write_dicom: Write, read: Call) -> None:
    volume = read(write_dicom([enhanced([3])]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels[:, :, 3:4])
    expected = phantom.affine @ [2, 5, 3, 1]
    np.testing.assert_allclose(volume.affine @ [2, 5, 0, 1], expected, atol=1e-6)


def by_echo(frame: Dataset, second: bool) -> None:
    frame.MREchoSequence = group(EffectiveEchoTime=80.0 if second else 10.0)


def by_time(frame: Dataset, second: bool) -> None:
    frame.FrameContentSequence[0].TemporalPositionIndex = 1 + second


def by_phase(frame: Dataset, second: bool) -> None:
    kind = ["ORIGINAL", "PRIMARY", "P" if second else "M", "NONE"]
    frame.MRImageFrameTypeSequence = group(FrameType=kind)


def by_diffusion(frame: Dataset, second: bool) -> None:
    frame.MRDiffusionSequence = group(DiffusionBValue=1000.0 if second else 0.0)


def by_direction(frame: Dataset, second: bool) -> None:
    direction = group(DiffusionGradientOrientation=[0.0, 0.0, 1.0] if second else [1.0, 0.0, 0.0])
    frame.MRDiffusionSequence = group(
        DiffusionBValue=700.0, DiffusionGradientDirectionSequence=direction
    )


def by_trigger(frame: Dataset, second: bool) -> None:
    frame.CardiacSynchronizationSequence = group(NominalCardiacTriggerDelayTime=float(second))


def by_stack(frame: Dataset, second: bool) -> None:
    frame.FrameContentSequence[0].StackID = str(1 + second)


@pytest.mark.fault(11, "S")
@pytest.mark.fault(12, "S")
@pytest.mark.fault(13, "S")
@pytest.mark.parametrize(
    "differ",
    [by_echo, by_time, by_diffusion, by_direction, by_trigger, by_phase, by_stack],
)
def test_two_volumes_in_one_file(
    differ: Callable[[Dataset, bool], None],
    phantom: Any, enhanced: Call, write_dicom: Write, read_all: Call,
) -> None:  # fmt: skip
    whole = enhanced(TWICE)
    pixels = np.arange(770, dtype=np.int16)
    whole.PixelData = pixels.tobytes()
    for number, frame in enumerate(frames_of(whole)):
        differ(frame, number >= 5)
    volumes = read_all(write_dicom([whole]))
    halves = pixels.reshape(2, 5, 7, 11).transpose(0, 3, 2, 1)  # (volume, columns, rows, slices)
    assert len(volumes) == 2
    for volume, half in zip(volumes, halves, strict=True):
        np.testing.assert_array_equal(volume.voxels, half)
        np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)


@pytest.mark.fault(10, "S")
def test_localizer_in_three_planes(
    phantom: Any, enhanced: Call, write_dicom: Write, read_all: Call
) -> None:
    whole = enhanced([0, 1, 2])
    planes = [["1", "0", "0", "0", "1", "0"], ["0", "1", "0", "0", "0", "-1"]]
    for frame, cosines in zip(frames_of(whole)[1:], planes, strict=True):
        frame.PlaneOrientationSequence = group(ImageOrientationPatient=cosines)
    volumes = read_all(write_dicom([whole]))
    assert [volume.shape for volume in volumes] == [(11, 7, 1)] * 3
    values = sorted(int(volume.voxels[4, 4, 0]) for volume in volumes)
    assert values == [int(phantom.voxels[4, 4, number]) for number in range(3)]


@pytest.mark.fault(24, "Q")
@pytest.mark.fault(3, "Q")
def test_missing_frame(enhanced: Call, write_dicom: Write, refused: Call) -> None:
    error = refused(write_dicom([enhanced([3, 4, 0, 1])]))
    assert isinstance(error, GeometryError)
    assert "a gap of 7 mm after slice 2 of 4" in error.found


@pytest.mark.fault(24, "Q")
@pytest.mark.parametrize("claimed", [3, 9])
def test_frames_that_are_not_described(
    claimed: int, enhanced: Call, write_dicom: Write, refused: Call
) -> None:
    error = refused(write_dicom([enhanced(NumberOfFrames=claimed)]))
    assert isinstance(error, GeometryError)
    assert error.where.endswith(": PerFrameFunctionalGroupsSequence")
    assert error.found == "5 descriptions"


@pytest.mark.fault(24, "Q")
@pytest.mark.fault(15, "Q")
def test_frame_without_position(enhanced: Call, write_dicom: Write, refused: Call) -> None:
    whole = enhanced()
    del frames_of(whole)[2].PlanePositionSequence
    assert refused(write_dicom([whole])).where.endswith(": ImagePositionPatient")


@pytest.mark.fault(84, "Q")
@pytest.mark.parametrize("claimed", [2**31 - 1, 20_001, -1])
def test_absurd_number_of_frames(
    claimed: int, enhanced: Call, write_dicom: Write, refused: Call
) -> None:
    error = refused(write_dicom([enhanced(NumberOfFrames=claimed)]))
    assert error.where.endswith(": NumberOfFrames")
    assert error.found == f"{claimed} frames"


@pytest.mark.fault(84, "Q")
def test_pixels_of_fewer_frames_than_are_described(
    enhanced: Call, write_dicom: Write, read: Call
) -> None:
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom([enhanced(PixelData=bytes(2 * 77 * 4))]))


@pytest.mark.fault(28, "W")
def test_philips_private_scaling_of_frames_is_not_applied(
    phantom: Any, enhanced: Call, write_dicom: Write, read: Call
) -> None:
    whole = enhanced(Manufacturer="Philips Healthcare")
    for frame in frames_of(whole):
        frame.PixelValueTransformationSequence = group(RescaleSlope="2", RescaleIntercept="-50")
        private = Dataset()
        private.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(
            0x0E, "FL", 0.0125
        )
        frame.add_new((0x2005, 0x0014), "LO", "Philips MR Imaging DD 005")
        frame.add_new((0x2005, 0x140F), "SQ", [private])
    volume = read(write_dicom([whole]))
    np.testing.assert_array_equal(volume.voxels, 2.0 * phantom.voxels - 50)
    assert volume.warnings == PHILIPS


@pytest.mark.fault(13, "S")
def test_magnitude_and_phase_by_component(
    enhanced: Call, write_dicom: Write, read_all: Call
) -> None:
    whole = enhanced(TWICE, PixelData=np.arange(770, dtype=np.int16).tobytes())
    for number, frame in enumerate(frames_of(whole)):
        frame.MRImageFrameTypeSequence = group(
            FrameType=["ORIGINAL", "PRIMARY", "T1", "NONE"],
            ComplexImageComponent="PHASE" if number >= 5 else "MAGNITUDE",
        )
    assert len(read_all(write_dicom([whole]))) == 2


@pytest.mark.fault(24, "Q")
def test_one_frame_of_five_described(enhanced: Call, write_dicom: Write, refused: Call) -> None:
    assert refused(write_dicom([enhanced(NumberOfFrames=1)])).found == "5 descriptions"


@pytest.mark.data
@pytest.mark.fault(24, "OK")
@pytest.mark.fault(28, "W")
@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        ("philips_enhanced/anatomical/001", PHILIPS),
        ("philips_enhanced/anatomical/001_implicit", PHILIPS),
        ("siemens_multiframe/anatomical/001", ()),
    ],
)
def test_real_enhanced_objects(
    name: str, warnings: tuple[str, ...], test_data: Path, read: Call
) -> None:
    folder = test_data / "dicom2nifti" / name
    truth = nib.load(f"{folder}_ground_truth.nii.gz")
    ours = read(folder).reoriented("RAS")
    theirs = np.asanyarray(truth.dataobj).reshape(truth.shape[:3])
    expected = Volume(theirs, truth.affine).reoriented("RAS")
    np.testing.assert_allclose(ours.affine, expected.affine, atol=2e-4)
    np.testing.assert_allclose(ours.voxels, expected.voxels, rtol=1e-6, atol=1e-3)
    assert ours.warnings == warnings
