"""Encodes label maps as DICOM SEG, and verifies them.

The files are BINARY and uncompressed, which every reader of DICOM SEG supports. Identifiers are
derived from the content, so that the output is deterministic. The frame of reference is that of the
slices if they share one, otherwise it is derived from the identifier of the series.

Runs in a child process of the sandbox only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slicewise import __version__
from slicewise.errors import OutputError, ScanError
from slicewise.imaging.dicom.seg.frames import frames_of, open_segmentation
from slicewise.imaging.dicom.seg.identity import Identity, set_identity
from slicewise.imaging.dicom.seg.proxy_images import proxy_images, refer_to_slices
from slicewise.imaging.dicom.seg.segments import Algorithm, described
from slicewise.imaging.dicom.seg.source_slices import (
    OTHER_FORMATS,
    SourceSlice,
    read_header,
    require_place,
    source_slices,
)
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.dicom.tags import integer
from slicewise.imaging.dicom.uids import uid_of
from slicewise.imaging.files import sha256_of
from slicewise.imaging.structures import Structure

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from highdicom.seg import Segmentation
    from pydicom import Dataset

Numbers = NDArray[np.unsignedinteger[Any]]
"""Segment numbers, shape (slices, rows, columns); 0 is background."""

MANUFACTURER = "Slicewise"
FIRST_SERIES_NUMBER = 1000
PLACEHOLDER_UID = "2.25.0"
MAXIMUM_LABEL_LETTERS = 64


@dataclass(frozen=True)
class SegmentationContent:
    """Content of a DICOM SEG except its voxels.

    Attributes:
        series: that the segmentation refers to.
        segments: structures of the segments 1, 2, ...
        algorithm: that created them.
        identity: how the patient is identified.
    """

    series: DicomSeries
    segments: tuple[Structure, ...]
    algorithm: Algorithm
    identity: Identity


def encode_segmentation(content: SegmentationContent, numbers_file: Path, target: Path) -> None:
    """Write a DICOM SEG, and verify it by reading it back.

    Args:
        content: everything except the voxels.
        numbers_file: ``.npy`` file of segment numbers, shape (slices, rows, columns).
        target: file to create.

    Raises:
        ScanError: the source cannot be read or referred to.
        GeometryError: the slices of the source are not at the positions of the series.
        OutputError: the file differs when it is read back.
        OSError: the target cannot be written.
    """
    numbers: Numbers = np.load(numbers_file, mmap_mode="r")
    sources = source_slices(content.series)
    header = read_header(sources[0].path)
    try:
        segmentation = _built(content, sources, header, numbers)
        _save_named_by_content(segmentation, target)
    except (ScanError, OSError, MemoryError):
        raise
    except Exception:  # values of a header may be anything
        raise ScanError(
            sources[0].path,
            expected="a header that a segmentation can refer to",
            found="values that do not conform to the standard",
            remedy=f"export the series again, or {OTHER_FORMATS}",
        ) from None
    _require_same(target, content, sources, numbers)


def _built(
    content: SegmentationContent,
    sources: Sequence[SourceSlice],
    header: Dataset,
    numbers: Numbers,
) -> Segmentation:
    from highdicom.seg import Segmentation, SegmentationTypeValues
    from pydicom.uid import ExplicitVRLittleEndian

    algorithm, identity = content.algorithm, content.identity
    segmentation = Segmentation(
        source_images=proxy_images(sources, content.series.affine, identity),
        pixel_array=numbers,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[
            described(structure, number, algorithm)
            for number, structure in enumerate(content.segments, start=1)
        ],
        series_instance_uid=PLACEHOLDER_UID,
        series_number=FIRST_SERIES_NUMBER + max(0, integer(header, "SeriesNumber") or 0),
        sop_instance_uid=PLACEHOLDER_UID,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number="none",
        content_label="SEGMENTATION",
        series_description=f"Segmentation by {algorithm.name}"[:MAXIMUM_LABEL_LETTERS],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        specific_character_set="ISO_IR 192",
        omit_empty_frames=True,
    )
    if sources[0].affine is None:
        # Required without an orientation; empty, because the source has it.
        segmentation.PatientOrientation = None
    refer_to_slices(segmentation, sources, identity)
    set_identity(segmentation, header, identity)
    return segmentation


def _save_named_by_content(segmentation: Segmentation, target: Path) -> None:
    """Write an object with identifiers that are derived from its content."""
    from pydicom.uid import UID

    dimensions = [*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence]
    for dimension in dimensions:
        dimension.DimensionOrganizationUID = PLACEHOLDER_UID
    segmentation.save_as(target, enforce_file_format=True)
    content = sha256_of(target)
    series, instance, organization = (
        uid_of(hashlib.sha256(f"{kind} {content}".encode()).digest())
        for kind in ("series", "instance", "dimension organization")
    )
    segmentation.SeriesInstanceUID = series
    segmentation.SOPInstanceUID = instance
    segmentation.file_meta.MediaStorageSOPInstanceUID = UID(instance)
    for dimension in dimensions:
        dimension.DimensionOrganizationUID = organization
    segmentation.save_as(target, enforce_file_format=True)


def _require_same(
    target: Path, content: SegmentationContent, sources: Sequence[SourceSlice], numbers: Numbers
) -> None:
    """Read a file back, and verify reference, position and voxels of each frame."""
    segmentation = open_segmentation(target)
    places: dict[tuple[str, int | None] | None, int] = {
        (content.identity.uid(one.instance_uid), one.frame): place
        for place, one in enumerate(sources)
    }
    voxels = 0
    for frame in frames_of(target, segmentation):
        place = places.get(frame.reference)
        if place is None:
            raise _differs(target, f"a wrong reference in frame {frame.number}")
        pixels = segmentation.get_stored_frame(frame.number)  # (rows, columns)
        if not np.array_equal(pixels, numbers[place] == frame.segment):
            raise _differs(target, f"different voxels in frame {frame.number}")
        if frame.affine is not None:
            require_place(frame.affine, content.series, place, target)
        voxels += int(np.count_nonzero(pixels))
    if voxels != np.count_nonzero(numbers):
        raise _differs(target, f"{voxels} voxels of {np.count_nonzero(numbers)}")


def _differs(target: Path, found: str) -> OutputError:
    return OutputError(
        target,
        expected="the mask that was written",
        found=found,
        remedy=f"report this as a bug, and {OTHER_FORMATS} instead",
    )
