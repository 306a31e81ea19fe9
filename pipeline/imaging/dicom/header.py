"""DICOM files in, the few facts of each header out; runs in the sandbox's child process only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import GeometryError, ScanError, file_problem
from pipeline.imaging.dicom.pixel_header import (
    PHILIPS_SCALE_SLOPE,
    SIEMENS_MOSAIC_IMAGES,
    pixel_notes,
    require_single_grey_frame,
    rescale_of,
    voxel_type_of,
)
from pipeline.imaging.dicom.tags import (
    finite_numbers,
    integer,
    number,
    private_text,
    text,
    unreadable,
)

if TYPE_CHECKING:
    # At run time pydicom is imported inside the functions: the calling process never needs it.
    from pydicom import Dataset

GE_COMPLEX_PART = (0x0043, 0x102F)
GE_DIFFUSION = (0x0043, 0x1039)
SIEMENS_DIFFUSION = (0x0019, 0x100C)
PRIVATE_TAGS = (
    GE_COMPLEX_PART,
    GE_DIFFUSION,
    SIEMENS_DIFFUSION,
    SIEMENS_MOSAIC_IMAGES,
    PHILIPS_SCALE_SLOPE,
)
KEYWORDS = (
    "SOPClassUID",
    "Modality",
    "Manufacturer",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "AcquisitionNumber",
    "ImageType",
    "EchoTime",
    "EchoNumbers",
    "TriggerTime",
    "TemporalPositionIdentifier",
    "InversionTime",
    "FlipAngle",
    "AcquisitionTime",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "FrameOfReferenceUID",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "LossyImageCompression",
)


@dataclass(frozen=True)
class SliceHeader:
    """What one file says about its place in a volume. Lengths are millimetres, axes are LPS.

    Attributes:
        kind: echo time, echo number, image type and complex part: what tells contrasts apart.
        moments: values that tell repetitions of one position apart, by tag; as text.
        voxel_type: numpy name of the type that holds its rescaled pixels.
        notes: what a user should know about this file's pixels.
    """

    path: Path
    series_uid: str
    series_number: int | None
    instance_number: int | None
    kind: tuple[float, str, str, str]
    moments: tuple[tuple[str, str], ...]
    trigger_time_ms: float | None
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    row_spacing_mm: float
    column_spacing_mm: float
    thickness_mm: float | None
    stated_step_mm: float | None
    frame_of_reference: str
    rows: int
    columns: int
    voxel_type: str
    rescale: tuple[float, float]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Rejection:
    """A file that cannot be part of a volume, and the series that lacks it, where known."""

    error: ScanError
    series_uid: str | None = None


def scan_headers(paths: Sequence[Path]) -> list[SliceHeader | Rejection | None]:
    """Read each file's header; None for what is no DICOM image and does not claim to be."""
    return [_scan(path) for path in paths]


def pixel_digests(paths: Sequence[Path]) -> list[str]:
    """Checksum of each file's pixel data as it is stored.

    Raises:
        ScanError: a file has no pixel data that could be read.
    """
    import pydicom

    digests = []
    for path in paths:
        try:
            pixels = pydicom.dcmread(path, specific_tags=["PixelData"]).PixelData
        except Exception as error:  # a hostile file can make the parser raise anything
            raise unreadable(path, "pixel data", error) from None
        digests.append(hashlib.sha256(pixels).hexdigest())
    return digests


def _scan(path: Path) -> SliceHeader | Rejection | None:
    import pydicom
    from pydicom.errors import InvalidDicomError
    from pydicom.tag import Tag

    wanted = [Tag(name) for name in (*KEYWORDS, *PRIVATE_TAGS)]
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=wanted)
    except InvalidDicomError as error:
        if path.suffix.lower() != ".dcm":
            return None
        return Rejection(unreadable(path, "a DICOM file", error))
    except OSError as error:
        return Rejection(_cannot_open(path, error))
    except Exception as error:  # a hostile file can make the parser raise anything
        return Rejection(unreadable(path, "a DICOM header", error))
    return _facts_or_rejection(path, dataset)


def _facts_or_rejection(path: Path, dataset: Dataset) -> SliceHeader | Rejection | None:
    series_uid = None
    try:
        if _is_no_image(dataset):
            return None
        series_uid = text(dataset, "SeriesInstanceUID") or None
        require_single_grey_frame(path, dataset)
        return _facts(path, dataset)
    except ScanError as error:
        return Rejection(error, series_uid)
    except Exception as error:  # values are converted on access, and may be anything
        return Rejection(unreadable(path, "a DICOM header", error), series_uid)


def _facts(path: Path, dataset: Dataset) -> SliceHeader:
    row_spacing_mm, column_spacing_mm = _spacing_mm(path, dataset)
    rescale = rescale_of(path, dataset)
    trigger_time_ms = number(path, dataset, "TriggerTime")
    return SliceHeader(
        path=path,
        series_uid=text(dataset, "SeriesInstanceUID"),
        series_number=integer(dataset, "SeriesNumber"),
        instance_number=integer(dataset, "InstanceNumber"),
        kind=_kind(dataset),
        moments=_moments(dataset),
        trigger_time_ms=trigger_time_ms,
        position_mm=finite_numbers(path, dataset, "ImagePositionPatient", 3),
        orientation=finite_numbers(path, dataset, "ImageOrientationPatient", 6),
        row_spacing_mm=row_spacing_mm,
        column_spacing_mm=column_spacing_mm,
        thickness_mm=_thickness_mm(path, dataset),
        stated_step_mm=number(path, dataset, "SpacingBetweenSlices"),
        frame_of_reference=text(dataset, "FrameOfReferenceUID"),
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        voxel_type=voxel_type_of(path, dataset, rescale),
        rescale=rescale,
        notes=pixel_notes(dataset),
    )


def _is_no_image(dataset: Dataset) -> bool:
    """Whether it is a report, a presentation state or another registered non-image object."""
    from pydicom.uid import UID

    name = UID(text(dataset, "SOPClassUID")).name
    return name.endswith("Storage") and "Image" not in name


def _kind(dataset: Dataset) -> tuple[float, str, str, str]:
    echo_time = dataset.get("EchoTime")
    return (
        -1.0 if echo_time in (None, "") else float(echo_time),
        text(dataset, "EchoNumbers"),
        text(dataset, "ImageType"),
        private_text(dataset, GE_COMPLEX_PART),
    )


def _moments(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    diffusion = "/".join(
        [
            text(dataset, "DiffusionBValue"),
            text(dataset, "DiffusionGradientOrientation"),
            private_text(dataset, GE_DIFFUSION),
            private_text(dataset, SIEMENS_DIFFUSION),
        ]
    )
    others = ("AcquisitionNumber", "InversionTime", "FlipAngle", "AcquisitionTime")
    return (
        ("TemporalPositionIdentifier", text(dataset, "TemporalPositionIdentifier")),
        ("DiffusionBValue", diffusion),
        *((keyword, text(dataset, keyword)) for keyword in others),
    )


def _spacing_mm(path: Path, dataset: Dataset) -> tuple[float, float]:
    row_mm, column_mm = finite_numbers(path, dataset, "PixelSpacing", 2)
    if row_mm <= 0 or column_mm <= 0:
        raise GeometryError(
            f"{path}: PixelSpacing",
            expected="two positive distances in millimetres",
            found=f"{row_mm:g}, {column_mm:g}",
            remedy="correct the tag, or export the series again",
        )
    return row_mm, column_mm


def _thickness_mm(path: Path, dataset: Dataset) -> float | None:
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value_mm = number(path, dataset, keyword)
        if value_mm is not None and value_mm > 0:
            return value_mm
    return None


def _cannot_open(path: Path, error: OSError) -> ScanError:
    return ScanError(
        path,
        expected="a file that can be read",
        found=file_problem(error),
        remedy="correct its permissions or restore it",
    )
