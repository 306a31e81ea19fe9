"""DICOM SEG becomes the label map that it was, on any grid that its frames are a part of."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from highdicom.seg import Segmentation, SegmentDescription
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.reading import read_segmentation
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Foreign = Callable[..., Path]

SHAPE = (11, 7, 5)
STRUCTURES = [
    Structure("left_ventricle", 2, "#E69F00"),
    Structure("lesion", 5, "#56B4E9"),
    Structure("liver", 9, "#009E73"),
]


def drawn() -> NDArray[np.uint8]:
    """Labels without any symmetry on two slices that are no neighbours."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[2:5, 1:3, 1] = 5
    labels[7, 3, 3] = 9
    labels[0, 6, 3] = 2
    return labels


@pytest.fixture
def sources(phantom: Any) -> list[FileDataset]:
    tags = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    blank = ("PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID")
    blank += ("StudyDate", "StudyTime")
    return phantom.datasets(**tags, **dict.fromkeys(blank, ""))


@pytest.fixture
def series(sources: list[FileDataset], write_dicom: Write, only: Only) -> DicomSeries:
    return only(write_dicom(sources))


@pytest.fixture
def image(phantom: Any) -> Volume:
    """The image that the segments were drawn on."""
    return Volume(phantom.voxels, phantom.affine, "image")


@pytest.fixture
def ours(series: DicomSeries, sandbox: Sandbox, tmp_path: Path) -> Path:
    path = tmp_path / "mask.dcm"
    identity = Identity(IdentityMode.SOURCE)
    mask = Volume(drawn(), series.affine)
    write_segmentation(mask, series, STRUCTURES, Algorithm("unet", "1"), path, identity, sandbox)
    return path


@pytest.fixture
def foreign(sources: list[FileDataset], tmp_path: Path) -> Foreign:
    """What another program writes, with highdicom: pixels are (slices, rows, columns, ...)."""

    def write(pixels: NDArray[Any], kind: str, segments: int = 2, **tags: Any) -> Path:
        described = [
            SegmentDescription(
                segment_number=number,
                segment_label=f"segment {number}",
                segmented_property_category=codes.SCT.AnatomicalStructure,
                segmented_property_type=codes.SCT.Liver,
                algorithm_type="MANUAL",
            )
            for number in range(1, segments + 1)
        ]
        written = Segmentation(
            sources, pixels, kind, described, generate_uid(), 1, generate_uid(), 1,
            "maker", "model", "1", "1",
        )  # fmt: skip
        for keyword, value in tags.items():
            setattr(written, keyword, value)
        path = tmp_path / f"foreign_{kind}.dcm"
        written.save_as(path)
        return path

    return write


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(labels=arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 2, 5, 9])))
def test_round_trip_equals_the_mask(
    series: DicomSeries, sandbox: Sandbox, tmp_path: Path, labels: NDArray[np.uint8]
) -> None:
    path = tmp_path / "mask.dcm"
    mask = Volume(labels, series.affine)
    identity = Identity(IdentityMode.SOURCE)
    write_segmentation(mask, series, STRUCTURES, Algorithm("unet", "1"), path, identity, sandbox)
    read = read_segmentation(path, mask, sandbox)
    np.testing.assert_array_equal(read.voxels, labels)
    assert read.affine is mask.affine or np.array_equal(read.affine, mask.affine)


@pytest.mark.parametrize("axes", ["RAS", "PIR", "ILA", "SAL"])
def test_labels_follow_the_axes_of_the_image(
    ours: Path, image: Volume, sandbox: Sandbox, axes: str
) -> None:
    read = read_segmentation(ours, image.reoriented(axes), sandbox)
    expected = image.with_voxels(drawn()).reoriented(axes)
    np.testing.assert_array_equal(read.voxels, expected.voxels)
    assert read.voxels.dtype == np.uint8


def test_without_an_image_the_grid_is_that_of_the_frames(
    ours: Path, phantom: Any, sandbox: Sandbox
) -> None:
    read = read_segmentation(ours, sandbox=sandbox)
    # Slices 1 to 3 of the phantom; the empty one between them is part of the grid.
    np.testing.assert_array_equal(read.voxels, drawn()[:, :, 1:4])
    affine = phantom.affine.copy()
    affine[:3, 3] += affine[:3, 2]
    np.testing.assert_allclose(read.affine, affine, atol=1e-8)


def test_frames_may_be_a_part_of_a_larger_image(
    ours: Path, image: Volume, sandbox: Sandbox
) -> None:
    affine = image.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ (3, 1, 2)
    larger = Volume(np.zeros((16, 9, 8)), affine)
    expected = np.zeros((16, 9, 8), dtype=np.uint8)
    expected[3:14, 1:8, 2:7] = drawn()
    np.testing.assert_array_equal(read_segmentation(ours, larger, sandbox).voxels, expected)


MOVED, SCALED, TURNED = np.eye(4), np.eye(4), np.eye(4)
MOVED[1, 3] = 0.02
SCALED[0, 0] = 1.002
TURNED[:2, :2] = [[0, 0.6], [-0.6, 0]]


@pytest.mark.parametrize(
    ("change", "voxels"),
    [(MOVED, 0.02), (SCALED, 10 - 10 / 1.002), (TURNED, 1 / 3)],
    ids=["moved", "scaled", "turned and scaled"],
)
def test_frames_beside_the_voxels_are_refused(
    ours: Path, image: Volume, sandbox: Sandbox, change: NDArray[np.float64], voxels: float
) -> None:
    other = Volume(image.voxels, image.affine @ change, "image")
    with pytest.raises(GeometryError) as caught:
        read_segmentation(ours, other, sandbox)
    assert caught.value.where == str(ours)
    assert "grid of image, shape (11, 7, 5), within 0.01 voxel" in caught.value.expected
    assert float(caught.value.found.split()[1]) >= voxels * 0.99


def test_frames_outside_the_image_are_refused(ours: Path, image: Volume, sandbox: Sandbox) -> None:
    cut = Volume(image.voxels[:, :, :3], image.affine, "image")
    with pytest.raises(GeometryError) as caught:
        read_segmentation(ours, cut, sandbox)
    assert caught.value.found == "voxels [0, 0, 3] to [10, 6, 3]"


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_values_of_other_programs_are_segment_numbers(
    foreign: Foreign, image: Volume, sandbox: Sandbox, kind: str
) -> None:
    numbers = np.select([drawn() == 5, drawn() > 5], [2, 1], 0).astype(np.uint8)
    read = read_segmentation(foreign(numbers.transpose(2, 1, 0), kind), image, sandbox)
    np.testing.assert_array_equal(read.voxels, numbers)


def test_overlapping_segments_are_refused(
    foreign: Foreign, image: Volume, sandbox: Sandbox
) -> None:
    stacked = np.stack([drawn() > 0, drawn() == 5], axis=-1).astype(np.uint8)
    path = foreign(stacked.transpose(2, 1, 0, 3), "BINARY")
    with pytest.raises(LabelError) as caught:
        read_segmentation(path, image, sandbox)
    assert caught.value.found == "6 voxels of a frame in two segments"


def test_fractions_are_refused(foreign: Foreign, image: Volume, sandbox: Sandbox) -> None:
    path = foreign((drawn() > 0).transpose(2, 1, 0).astype(np.float32), "FRACTIONAL", segments=1)
    with pytest.raises(LabelError) as caught:
        read_segmentation(path, image, sandbox)
    assert caught.value.found == "FRACTIONAL"


def test_label_of_no_segment_is_refused(foreign: Foreign, image: Volume, sandbox: Sandbox) -> None:
    path = foreign((drawn() > 0).transpose(2, 1, 0).astype(np.uint8), "LABELMAP", segments=2)
    dataset = dcmread(path)
    dataset.SegmentSequence = [one for one in dataset.SegmentSequence if one.SegmentNumber != 1]
    dataset.save_as(path)
    with pytest.raises(LabelError, match="not described"):
        read_segmentation(path, image, sandbox)


def test_values_are_restored_only_where_every_segment_tells_one(
    foreign: Foreign, image: Volume, sandbox: Sandbox
) -> None:
    numbers = np.select([drawn() == 5, drawn() > 5], [2, 1], 0).astype(np.uint8)
    path = foreign(numbers.transpose(2, 1, 0), "BINARY")
    for texts, expected in {
        ("label value 7", "label value 300"): {1: 7, 2: 300},
        ("label value 7", "label value 7"): {1: 1, 2: 2},
        ("label value 7", "drawn by hand"): {1: 1, 2: 2},
    }.items():
        dataset = dcmread(path)
        for segment, text in zip(dataset.SegmentSequence, texts, strict=True):
            segment.SegmentDescription = text
        dataset.save_as(path)
        read = read_segmentation(path, image, sandbox)
        for number, value in expected.items():
            np.testing.assert_array_equal(read.voxels == value, numbers == number)


def test_mask_of_a_radiograph_is_read_onto_its_pixels(
    phantom: Any, write_dicom: Write, only: Only, sandbox: Sandbox, tmp_path: Path
) -> None:
    radiograph = phantom.datasets(
        SOPClassUID=ComputedRadiographyImageStorage, StudyInstanceUID=generate_uid()
    )[0]
    radiograph.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    series = only(write_dicom([radiograph]))
    mask = Volume(drawn()[:, :, 3:4], series.affine)
    path = tmp_path / "mask.dcm"
    identity = Identity(IdentityMode.SOURCE)
    write_segmentation(mask, series, STRUCTURES, Algorithm("unet", "1"), path, identity, sandbox)
    np.testing.assert_array_equal(read_segmentation(path, mask, sandbox).voxels, mask.voxels)
    for other in (None, Volume(mask.voxels[1:], series.affine)):
        with pytest.raises(GeometryError):
            read_segmentation(path, other, sandbox)


def test_frames_at_uneven_places_need_an_image(
    ours: Path, image: Volume, phantom: Any, sandbox: Sandbox
) -> None:
    dataset = dcmread(ours)
    # Of the segment that lies on slice 1 alone; the others lie on slice 3.
    group = next(
        one
        for one in dataset.PerFrameFunctionalGroupsSequence
        if one.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 2
    )
    position_mm = phantom.origin_mm + 1.3 * phantom.slice_spacing_mm * phantom.axes[:, 2]
    group.PlanePositionSequence[0].ImagePositionPatient = [f"{mm:.8f}" for mm in position_mm]
    dataset.save_as(ours)
    with pytest.raises(GeometryError) as caught:
        read_segmentation(ours, sandbox=sandbox)
    assert caught.value.found == "frames at irregular or unknown positions"
    with pytest.raises(GeometryError, match=r"0\.3 voxels away from the voxels"):
        read_segmentation(ours, image, sandbox)


def renamed(ours: Path, labels: list[str]) -> Path:
    """As another program would write it: no values in the descriptions."""
    dataset = dcmread(ours)
    for segment, label in zip(dataset.SegmentSequence, labels, strict=True):
        segment.SegmentLabel = label
        segment.SegmentDescription = ""
        segment.SegmentAlgorithmType = "MANUAL"
    dataset.save_as(ours)
    return ours


def test_names_of_segments_give_the_values(ours: Path, sandbox: Sandbox) -> None:
    foreign = renamed(ours, ["Liver", "LEFT ventricle", "lesion"])
    names = {"left_ventricle": 7, "lesion": 1, "liver": 4}
    label = read_segmentation(foreign, sandbox=sandbox, names=names)
    before = read_segmentation(foreign, sandbox=sandbox)
    for number, value in ((1, 4), (2, 7), (3, 1)):
        np.testing.assert_array_equal(label.voxels == value, before.voxels == number)
    assert label.warnings == ()


def test_segments_without_known_names_keep_their_numbers(ours: Path, sandbox: Sandbox) -> None:
    label = read_segmentation(renamed(ours, ["a", "b", "c"]), sandbox=sandbox, names={"liver": 4})
    assert set(np.unique(label.voxels)) == {0, 1, 2, 3}
    assert "segment numbers are used" in label.warnings[0]


def test_some_known_names_are_a_contradiction(ours: Path, sandbox: Sandbox) -> None:
    with pytest.raises(LabelError) as caught:
        read_segmentation(renamed(ours, ["liver", "b", "c"]), sandbox=sandbox, names={"liver": 4})
    assert caught.value.found == "other names for the segments [2, 3]"


def test_masks_of_an_algorithm_are_noticed(ours: Path, sandbox: Sandbox) -> None:
    assert "created by an algorithm" in read_segmentation(ours, sandbox=sandbox).warnings[0]


def test_image_truncated_and_absent_files_are_refused(
    ours: Path, series: DicomSeries, image: Volume, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(ScanError, match="another type of DICOM object"):
        read_segmentation(series.files[0], image, sandbox)
    with pytest.raises(ScanError, match="No such file"):
        read_segmentation(tmp_path / "absent.dcm", image, sandbox)
    os.truncate(ours, ours.stat().st_size - 20)
    with pytest.raises(ScanError, match="damage"):
        read_segmentation(ours, image, sandbox)


def test_highdicom_finds_the_same_voxels(ours: Path, phantom: Any) -> None:
    volume = highdicom.seg.segread(ours).get_volume(combine_segments=True)
    for number, value in enumerate((2, 5, 9), start=1):
        lps = np.argwhere(volume.array == number) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        expected = np.argwhere(drawn() == value) @ phantom.affine[:3, :3].T + phantom.affine[:3, 3]
        found = lps * (-1, -1, 1)
        for array in (found, expected):
            array[:] = array[np.lexsort(array.round(3).T)]
        np.testing.assert_allclose(found, expected, atol=1e-6)
