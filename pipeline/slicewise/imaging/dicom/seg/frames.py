"""Reads the segments and positions of the frames of a DICOM SEG.

Runs in a child process of the sandbox only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import LabelError, ScanError
from slicewise.imaging.dicom.frames import PER_FRAME, SHARED, flat_frame
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.seg.source_slices import plane_affine
from slicewise.imaging.dicom.tags import text, unreadable
from slicewise.imaging.volume import Affine

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from highdicom.seg import Segmentation
    from pydicom import Dataset

SEGMENTATION_STORAGES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
TYPES = ("BINARY", "LABELMAP")
MAXIMUM_PIXELS = 2**36


@dataclass(frozen=True)
class SegmentationFrame:
    """One frame of a segmentation.

    Attributes:
        number: of the frame, from 1.
        segment: number of its segment; None in a label map, which has all segments.
        affine: (4, 4), (column, row, 0) indices to RAS+ millimetres; None where the segmentation
            of a radiograph has no place in the patient.
        reference: instance and frame of its source slice; None if unknown.
    """

    number: int
    segment: int | None
    affine: Affine | None
    reference: tuple[str, int | None] | None


def open_segmentation(path: Path) -> Segmentation:
    """Read a segmentation, its compressed or packed pixels undecoded.

    Raises:
        ScanError: no DICOM SEG, damaged, or absurdly large.
        LabelError: fractions instead of labels.
    """
    import highdicom

    try:
        dataset = open_dicom(path)
        _require_labels(path, dataset)
        return highdicom.seg.Segmentation.from_dataset(dataset, copy=False)
    except (ScanError, OSError, MemoryError):
        raise
    except Exception as error:  # a malicious file can make the parser raise anything
        raise unreadable(path, "a DICOM SEG", error) from None


def _require_labels(path: Path, dataset: Dataset) -> None:
    if text(dataset, "SOPClassUID") not in SEGMENTATION_STORAGES:
        raise ScanError(
            path,
            expected="a DICOM SEG",
            found="another type of DICOM object",
            remedy="give the segmentation, not the image",
        )
    stored_as = text(dataset, "SegmentationType")
    if stored_as not in TYPES:
        raise LabelError(
            f"{path}: SegmentationType",
            expected=" or ".join(TYPES),
            found="FRACTIONAL" if stored_as == "FRACTIONAL" else "another type",
            remedy="export labels instead of probabilities or occupancies",
        )
    pixels = int(dataset.Rows) * int(dataset.Columns) * int(dataset.NumberOfFrames)
    if not 0 < pixels <= MAXIMUM_PIXELS:
        raise ScanError(
            f"{path}: Rows, Columns, NumberOfFrames",
            expected=f"1 to {MAXIMUM_PIXELS} pixels",
            found=str(pixels),
            remedy="the header is damaged or malicious; export the segmentation again",
        )


def frames_of(path: Path, segmentation: Segmentation) -> Iterator[SegmentationFrame]:
    """Each frame in the order of the file.

    Raises:
        GeometryError: the position of a frame is incomplete or not numeric.
    """
    is_label_map = segmentation.SegmentationType == "LABELMAP"
    for number in range(1, int(segmentation.NumberOfFrames) + 1):
        flat = flat_frame(segmentation, number - 1)
        segment = None if is_label_map else _segment(segmentation, number)
        affine = plane_affine(path, flat) if "ImagePositionPatient" in flat else None
        yield SegmentationFrame(number, segment, affine, _reference(segmentation, number))


def _segment(segmentation: Dataset, number: int) -> int:
    for group in (segmentation[PER_FRAME].value[number - 1], segmentation[SHARED].value[0]):
        if "SegmentIdentificationSequence" in group:
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise ValueError(f"frame {number} has no segment")


def _reference(segmentation: Dataset, number: int) -> tuple[str, int | None] | None:
    group = segmentation[PER_FRAME].value[number - 1]
    for derivation in group.get("DerivationImageSequence") or ():
        for source in derivation.get("SourceImageSequence") or ():
            frame = source.get("ReferencedFrameNumber")
            return text(source, "ReferencedSOPInstanceUID"), None if frame is None else int(frame)
    return None
