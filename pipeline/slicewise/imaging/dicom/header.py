"""Extracts slice headers from DICOM files; runs in a child process of the sandbox only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import GeometryError, ScanError
from slicewise.imaging.content import with_actual_format
from slicewise.imaging.dicom.contrast import contrast_of
from slicewise.imaging.dicom.frames import (
    PER_FRAME,
    PHILIPS_SCALE_SLOPE,
    SHARED,
    flat_frame,
    frame_count,
    is_multi_frame,
)
from slicewise.imaging.dicom.mosaic import (
    SIEMENS_CREATOR,
    SIEMENS_MOSAIC_IMAGES,
    is_mosaic,
    tiles_of,
)
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.pixel_header import (
    pixel_notes,
    require_grey_image,
    rescale_of,
    voxel_type_of,
)
from slicewise.imaging.dicom.projection import RADIOGRAPH, is_projection, place
from slicewise.imaging.dicom.slice_header import FileContents, LabelFile, Rejection, SliceHeader
from slicewise.imaging.dicom.tags import (
    finite_numbers,
    integer,
    number,
    private_text,
    text,
    unreadable,
)
from slicewise.imaging.walk import cannot_open

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need it.
    from pydicom import Dataset
    from pydicom.tag import BaseTag

GE_COMPLEX_PART = (0x0043, 0x102F)
GE_DIFFUSION = (0x0043, 0x1039)
SIEMENS_DIFFUSION = (0x0019, 0x100C)
PRIVATE_TAGS = (
    GE_COMPLEX_PART,
    GE_DIFFUSION,
    SIEMENS_DIFFUSION,
    SIEMENS_CREATOR,
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
    "PatientID",
    "StudyInstanceUID",
    "SeriesDescription",
    "ProtocolName",
    "ImagerPixelSpacing",
    "StackID",
    "ComplexImageComponent",
    "ReferencedSeriesSequence",
    SHARED,
    PER_FRAME,
)
FARTHEST_MM = 1e6
LEAST_PIXEL_MM, LARGEST_PIXEL_MM = 1e-4, 1e3
SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"


def scan_headers(paths: Sequence[Path]) -> list[FileContents]:
    """Contents of each file: slice headers, or a rejection; empty if it is not an image."""
    return [_scan(path) for path in paths]


def _scan(path: Path) -> FileContents:
    from pydicom.errors import InvalidDicomError

    try:
        dataset = open_dicom(path, stop_before_pixels=True, specific_tags=_wanted())
    except InvalidDicomError as error:
        if path.suffix.lower() != ".dcm":
            return FileContents(is_dicom=False)
        return _rejected(path, with_actual_format(unreadable(path, "a DICOM file", error), path))
    except OSError as error:
        rejection = Rejection.of(path, cannot_open(path, error), may_pass=True)
        return FileContents(rejection=rejection)
    except Exception as error:  # a malicious file can make the parser raise anything
        return _rejected(path, unreadable(path, "a DICOM header", error))
    return _slices_or_rejection(path, dataset)


@cache
def _wanted() -> list[BaseTag]:
    from pydicom.tag import Tag

    return [Tag(name) for name in (*KEYWORDS, *PRIVATE_TAGS)]


def _rejected(path: Path, error: ScanError, series_uid: str = "") -> FileContents:
    return FileContents(rejection=Rejection.of(path, error, series_uid))


def _slices_or_rejection(path: Path, dataset: Dataset) -> FileContents:
    series_uid = ""
    try:
        if text(dataset, "SOPClassUID") in (SEGMENTATION_STORAGE, LABEL_MAP_STORAGE):
            labelled = dataset.get("ReferencedSeriesSequence") or ()
            uids = tuple(text(series, "SeriesInstanceUID") for series in labelled)
            return FileContents(labels=LabelFile(path, uids))
        if _is_no_image(dataset):
            return FileContents()
        series_uid = text(dataset, "SeriesInstanceUID")
        return FileContents(tuple(_slices(path, dataset)))
    except ScanError as error:
        return _rejected(path, error, series_uid)
    except Exception as error:  # values are converted on access, and may be anything
        return _rejected(path, unreadable(path, "a DICOM header", error), series_uid)


def _slices(path: Path, dataset: Dataset) -> list[SliceHeader]:
    require_grey_image(path, dataset)
    count = frame_count(path, dataset)
    if is_multi_frame(dataset):
        frames = [_facts(path, flat_frame(dataset, number)) for number in range(count)]
        # The last resort to distinguish repetitions is the order of the frames.
        return [
            replace(facts, frame=number, instance_number=number + 1)
            for number, facts in enumerate(frames)
        ]
    if is_projection(dataset):
        facts = _facts(path, dataset, place(path, dataset))
        return [replace(facts, contrast=RADIOGRAPH, kind=(*facts.kind[:4], facts.instance_uid))]
    facts = _facts(path, dataset)
    return tiles_of(facts, path) if is_mosaic(dataset) else [facts]


def _facts(path: Path, dataset: Dataset, notes: tuple[str, ...] = ()) -> SliceHeader:
    row_spacing_mm, column_spacing_mm = _spacing_mm(path, dataset)
    rescale = rescale_of(path, dataset)
    trigger_time_ms = number(path, dataset, "TriggerTime")
    return SliceHeader(
        path=path,
        frame=0,
        tiles=0,
        patient_id=_patient_id(dataset),
        study_uid=text(dataset, "StudyInstanceUID"),
        # Files without a series are not mixed with those of other patients and folders.
        series_uid=text(dataset, "SeriesInstanceUID")
        or f"{text(dataset, 'PatientID')} in {path.parent}",
        instance_uid=text(dataset, "SOPInstanceUID"),
        series_number=integer(dataset, "SeriesNumber"),
        instance_number=integer(dataset, "InstanceNumber"),
        contrast=contrast_of(dataset),
        kind=_kind(path, dataset),
        moments=_moments(dataset),
        trigger_time_ms=trigger_time_ms,
        position_mm=_position_mm(path, dataset),
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
        notes=(*notes, *pixel_notes(dataset)),
    )


def _is_no_image(dataset: Dataset) -> bool:
    """Whether it is a report, a presentation state or another object without an image."""
    from pydicom.uid import UID

    # A DICOMDIR, which may have any name, is identified by its file meta information only.
    uid = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    name = UID(uid).name
    return name.endswith("Storage") and "Image" not in name


def _patient_id(dataset: Dataset) -> str:
    """Id of the patient; without one, all series of the study are of the same patient."""
    study_uid = text(dataset, "StudyInstanceUID")
    return text(dataset, "PatientID").strip() or (f"study {study_uid}" if study_uid else "")


def _kind(path: Path, dataset: Dataset) -> tuple[float, str, str, str, str]:
    echo_time_ms = number(path, dataset, "EchoTime")
    return (
        -1.0 if echo_time_ms is None else echo_time_ms,
        text(dataset, "EchoNumbers"),
        text(dataset, "ImageType"),
        text(dataset, "ComplexImageComponent") + private_text(dataset, GE_COMPLEX_PART),
        text(dataset, "StackID"),
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
        ("file", ""),
    )


def _position_mm(path: Path, dataset: Dataset) -> tuple[float, ...]:
    position_mm = finite_numbers(path, dataset, "ImagePositionPatient", 3)
    if max(map(abs, position_mm)) > FARTHEST_MM:
        raise GeometryError(
            f"{path}: ImagePositionPatient",
            expected=f"a position within {FARTHEST_MM:g} mm",
            found="a position outside of it",
            remedy="correct the tag, or export the series again",
        )
    return position_mm


def _spacing_mm(path: Path, dataset: Dataset) -> tuple[float, float]:
    row_mm, column_mm = finite_numbers(path, dataset, "PixelSpacing", 2)
    if not all(LEAST_PIXEL_MM <= value_mm <= LARGEST_PIXEL_MM for value_mm in (row_mm, column_mm)):
        raise GeometryError(
            f"{path}: PixelSpacing",
            expected=f"two distances from {LEAST_PIXEL_MM:g} to {LARGEST_PIXEL_MM:g} mm",
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
