"""Masks become DICOM SEG that other programs find valid, and every voxel where it was."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Export = Callable[..., Path]

LPS_TO_RAS = np.diag([-1, -1, 1, 1])
STRUCTURES = (
    Structure("left_ventricle", 2, "#E69F00"),
    Structure("never drawn", 3, "#0072B2"),
    Structure("lesion", 5, "#56B4E9"),
    Structure("flux capacitor", 9, "#009E73"),
)


def study_tags(**tags: Any) -> dict[str, Any]:
    """What a source must have beside the phantom's tags, for a SEG to refer to it."""
    return {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()} | tags


def drawn(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Labels without any symmetry; the first slice is empty."""
    labels = np.zeros(shape, dtype=np.int64)
    labels[2:5, 1:3, 1] = 5
    labels[7, 3, 1:4] = 9
    labels[10, 6, 4] = 2
    labels[0, 2, 2] = 2
    return labels


def world_positions(mask: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """RAS+ millimetres of the voxels of a mask, sorted."""
    found = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return found[np.lexsort(found.round(3).T)]


@pytest.fixture
def export(tmp_path: Path, sandbox: Sandbox) -> Export:
    """Write the drawn labels, or others, of a series; keywords replace arguments."""

    def export(series: DicomSeries, labels: NDArray[Any] | None = None, **others: Any) -> Path:
        labels = drawn(series.shape) if labels is None else labels
        given = {
            "structures": STRUCTURES,
            "algorithm": Algorithm("a small U-Net", "3"),
            "path": tmp_path / "mask.dcm",
            "identity": Identity(IdentityMode.SOURCE),
        } | others
        write_segmentation(Volume(labels, series.affine), series, sandbox=sandbox, **given)
        return given["path"]

    return export


def frames_by_hand(path: Path) -> list[tuple[int, NDArray[np.bool_], NDArray[np.float64], Any]]:
    """Segment number, pixels (rows, columns), affine and reference of each frame.

    With pydicom alone: bits from the lowest on, frames packed without a gap (PS3.5 8.1.1), and
    the equation of PS3.3 C.7.6.2.1.1.
    """
    dataset = pydicom.dcmread(path)
    pixels = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    shape = (dataset.NumberOfFrames, dataset.Rows, dataset.Columns)
    pixels = pixels[: np.prod(shape)].reshape(shape).astype(bool)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    row_mm, column_mm = (float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = []
    for frame, group in zip(pixels, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        affine = np.zeros((4, 4))
        affine[:3, 0], affine[:3, 1] = cosines[:3] * column_mm, cosines[3:] * row_mm
        affine[:, 3] = [*map(float, group.PlanePositionSequence[0].ImagePositionPatient), 1]
        owner = group if "SegmentIdentificationSequence" in group else shared
        number = owner.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        frames.append((number, frame, LPS_TO_RAS @ affine, source))
    return frames


def positions_by_hand(path: Path, segment: int) -> NDArray[np.float64]:
    """RAS+ millimetres of a segment's voxels, sorted."""
    found = []
    for number, pixels, affine, _ in frames_by_hand(path):
        if number == segment:
            found.append(world_positions(pixels.T[:, :, None], affine))
    together = np.concatenate(found)
    return together[np.lexsort(together.round(3).T)]


def test_every_voxel_lies_where_it_was(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    series = only(write_dicom(phantom.datasets(**study_tags())))
    path = export(series)
    labels = drawn(series.shape)
    for segment, value in enumerate((2, 5, 9), start=1):
        expected = world_positions(labels == value, phantom.affine)
        np.testing.assert_allclose(positions_by_hand(path, segment), expected, atol=1e-6)


def test_simpleitk_finds_every_voxel_where_it_was(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    # Frames of whole bytes: of others, GDCM leaves the last pixels to chance.
    phantom = replace(phantom, rows=8)
    series = only(write_dicom(phantom.datasets(**study_tags())))
    labels = drawn(series.shape)
    # Slices without a gap, because ITK stacks the frames as if there were none.
    image = SimpleITK.ReadImage(str(export(series, np.where(labels == 9, 9, 0))))
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    pixels = SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0)  # (columns, rows, frames)
    expected = world_positions(labels == 9, phantom.affine)
    np.testing.assert_allclose(world_positions(pixels, LPS_TO_RAS @ lps), expected, atol=1e-4)


@pytest.mark.fault(96, "OK")
def test_each_frame_refers_to_the_slice_that_it_lies_on(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    datasets = phantom.datasets(**study_tags())
    path = export(only(write_dicom(datasets)))
    slices = {one.SOPInstanceUID: one for one in datasets}
    for _, _, affine, source in frames_by_hand(path):
        referred = slices[source.ReferencedSOPInstanceUID]
        position_mm = [float(value) for value in referred.ImagePositionPatient]
        np.testing.assert_allclose((LPS_TO_RAS @ affine)[:3, 3], position_mm, atol=1e-9)
        assert source.ReferencedSOPClassUID == referred.SOPClassUID
        assert "ReferencedFrameNumber" not in source
    written = pydicom.dcmread(path)
    assert written.StudyInstanceUID == datasets[0].StudyInstanceUID
    assert written.FrameOfReferenceUID == datasets[0].FrameOfReferenceUID
    series = written.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == phantom.series_uid
    instances = [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence]
    assert instances == [one.SOPInstanceUID for one in datasets]


def test_frames_of_an_enhanced_object_are_referred_to_by_number(
    write_dicom: Write, only: Only, export: Export, enhanced: Callable[..., FileDataset]
) -> None:
    order = (3, 0, 4, 1, 2)
    whole = enhanced(order, **study_tags())
    series = only(write_dicom([whole]))
    path = export(series)
    labels = drawn(series.shape)
    seen = set()
    for number, pixels, _, source in frames_by_hand(path):
        assert source.ReferencedSOPInstanceUID == whole.SOPInstanceUID
        assert source.ReferencedSOPClassUID == whole.SOPClassUID
        place = order[source.ReferencedFrameNumber - 1]
        np.testing.assert_array_equal(pixels.T, labels[:, :, place] == (2, 5, 9)[number - 1])
        seen.add(place)
    assert seen == {1, 2, 3, 4}
    assert len(pydicom.dcmread(path).SourceImageSequence) == 1


def test_segments_are_the_structures_that_were_drawn(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    written = pydicom.dcmread(export(only(write_dicom(phantom.datasets(**study_tags())))))
    segments = written.SegmentSequence
    assert [one.SegmentNumber for one in segments] == [1, 2, 3]
    assert [one.SegmentLabel for one in segments] == ["left_ventricle", "lesion", "flux capacitor"]
    assert {one.SegmentAlgorithmName for one in segments} == {"a small U-Net"}
    identification = segments[0].SegmentationAlgorithmIdentificationSequence[0]
    assert identification.AlgorithmVersion == "3"
    family = identification.AlgorithmFamilyCodeSequence[0]
    assert (family.CodeValue, family.CodingSchemeDesignator) == ("123110", "DCM")
    assert (written.Manufacturer, written.SegmentationType) == ("Slicewise", "BINARY")
    assert written.SeriesDescription == "Segmentation by a small U-Net"
    # What sRGB #E69F00 is under D65, calculated apart.
    lightness, a, b = segments[0].RecommendedDisplayCIELabValue
    found = (lightness / 655.35, a / 257 - 128, b / 257 - 128)
    assert found == pytest.approx((70.6, 16.5, 74.7), abs=0.2)


def test_frames_without_voxels_are_left_out_but_an_empty_mask_has_all_of_them(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    series = only(write_dicom(phantom.datasets(**study_tags())))
    # Values 2, 5 and 9 lie on 2, 1 and 3 slices.
    assert pydicom.dcmread(export(series)).NumberOfFrames == 6
    path = export(series, np.zeros(series.shape, dtype=np.uint8))
    written = pydicom.dcmread(path)
    assert [one.SegmentLabel for one in written.SegmentSequence] == [one.name for one in STRUCTURES]
    assert written.NumberOfFrames == len(STRUCTURES) * 5
    assert not any(pixels.any() for _, pixels, _, _ in frames_by_hand(path))


def test_same_mask_is_the_same_file_and_another_one_has_other_identifiers(
    phantom: Any, write_dicom: Write, only: Only, export: Export, tmp_path: Path
) -> None:
    series = only(write_dicom(phantom.datasets(**study_tags())))
    first = export(series).read_bytes()
    assert export(series, path=tmp_path / "elsewhere" / "again.dcm").read_bytes() == first
    written = pydicom.dcmread(export(series))
    assert re.fullmatch(r"2\.25\.[1-9]\d{30,38}", written.SOPInstanceUID)
    labels = drawn(series.shape)
    labels[0, 0, 0] = 2
    others = (
        {"labels": labels},
        {"algorithm": Algorithm("a small U-Net", "4")},
        {"structures": [replace(one, colour="#000000") for one in STRUCTURES]},
    )
    for different in others:
        other = pydicom.dcmread(export(series, **different))
        assert other.SOPInstanceUID != written.SOPInstanceUID
        assert other.SeriesInstanceUID != written.SeriesInstanceUID


def test_frame_of_reference_is_kept_where_the_slices_agree_on_one(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    datasets = phantom.datasets(**study_tags())
    for dataset in datasets:
        dataset.FrameOfReferenceUID = generate_uid()
    series = only(write_dicom(datasets))
    path = export(series)
    found = pydicom.dcmread(path).FrameOfReferenceUID
    assert found.startswith("2.25.")
    # The same for every mask of the series.
    labels = np.full(series.shape, 9)
    assert pydicom.dcmread(export(series, labels)).FrameOfReferenceUID == found


def test_slices_whose_directions_differ_in_the_last_digits_are_one_stack(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    datasets = phantom.datasets(**study_tags())
    cosines = [float(value) for value in datasets[2].ImageOrientationPatient]
    datasets[2].ImageOrientationPatient = [f"{value:.4f}" for value in cosines]
    series = only(write_dicom(datasets))
    path = export(series)
    expected = world_positions(drawn(series.shape) == 5, phantom.affine)
    np.testing.assert_allclose(positions_by_hand(path, 2), expected, atol=1e-3)


def test_radiograph_is_referred_to_without_a_place_in_the_patient(
    phantom: Any, write_dicom: Write, only: Only, export: Export
) -> None:
    tags = study_tags(SOPClassUID=ComputedRadiographyImageStorage, Modality="CR")
    radiograph = phantom.datasets(**tags)[0]
    radiograph.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    del radiograph.ImagePositionPatient, radiograph.ImageOrientationPatient
    labels = np.zeros((11, 7, 1), dtype=np.uint8)
    labels[4:9, 2, 0] = 5
    path = export(only(write_dicom([radiograph])), labels)
    written = pydicom.dcmread(path)
    np.testing.assert_array_equal(written.pixel_array, labels[:, :, 0].T > 0)
    group = written.PerFrameFunctionalGroupsSequence[0]
    source = group.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == radiograph.SOPInstanceUID
    assert source.ReferencedSOPClassUID == ComputedRadiographyImageStorage
    assert "PlanePositionSequence" not in group
