"""Validates the pixel attributes of DICOM headers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import ScanError
from slicewise.imaging.dicom.frames import PHILIPS_SCALE_SLOPE
from slicewise.imaging.dicom.tags import number, text

if TYPE_CHECKING:
    from pydicom import Dataset

MAXIMUM_SLICE_PIXELS = 2**26
LOSSY_SYNTAXES = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
)


def require_grey_image(path: Path, dataset: Dataset) -> None:
    """Refuse objects without greyscale pixels, or of invalid size.

    Raises:
        ScanError: no image, colour, or an invalid size.
    """
    if "Rows" not in dataset or "Columns" not in dataset:
        raise ScanError(
            f"{path}: Rows, Columns",
            expected="an image with its size",
            found="no such tags",
            remedy="remove the file: it contains no image",
        )
    pixels = int(dataset.Rows) * int(dataset.Columns)
    if not 0 < pixels <= MAXIMUM_SLICE_PIXELS:
        raise ScanError(
            f"{path}: Rows, Columns",
            expected=f"1 to {MAXIMUM_SLICE_PIXELS} pixels",
            found=f"{dataset.Rows} x {dataset.Columns}",
            remedy="the header is damaged or malicious; export the series again",
        )
    photometric = text(dataset, "PhotometricInterpretation")
    if not photometric.startswith("MONOCHROME"):
        raise ScanError(
            f"{path}: PhotometricInterpretation",
            expected="MONOCHROME1 or MONOCHROME2",
            found="a colour image" if photometric else "no such tag",
            remedy="export the original greyscale images",
        )


def rescale_of(path: Path, dataset: Dataset) -> tuple[float, float]:
    """Rescale slope and intercept; 1 and 0 if absent.

    Raises:
        ScanError: the slope is 0 or not finite, or there is a look-up table instead.
    """
    if "ModalityLUTSequence" in dataset:
        raise ScanError(
            f"{path}: ModalityLUTSequence",
            expected="a rescale slope and intercept",
            found="a look-up table",
            remedy="export the series without the table",
        )
    slope = number(path, dataset, "RescaleSlope")
    intercept = number(path, dataset, "RescaleIntercept")
    if slope == 0:
        raise ScanError(
            f"{path}: RescaleSlope",
            expected="a slope other than 0",
            found="a slope of 0",
            remedy="correct the tag, or export the series again",
        )
    return (1.0 if slope is None else slope), (0.0 if intercept is None else intercept)


def voxel_type_of(path: Path, dataset: Dataset, rescale: tuple[float, float]) -> str:
    """NumPy data type of the rescaled values."""
    bits, signed = int(dataset.BitsAllocated), int(dataset.PixelRepresentation)
    if bits not in (8, 16, 32) or signed not in (0, 1):
        raise ScanError(
            f"{path}: BitsAllocated",
            expected="signed or unsigned integers of 8, 16 or 32 bits",
            found=f"{bits} bits, PixelRepresentation {signed}",
            remedy="export the series again with one of these types",
        )
    if rescale != (1.0, 0.0):
        return "float32"
    return f"{'int' if signed else 'uint'}{bits}"


def pixel_notes(dataset: Dataset) -> tuple[str, ...]:
    """Warnings about the grey values of a file."""
    notes = []
    if text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        notes.append("MONOCHROME1: grey values were inverted")
    lossy = text(dataset, "LossyImageCompression") == "01"
    if lossy or str(dataset.file_meta.get("TransferSyntaxUID", "")) in LOSSY_SYNTAXES:
        notes.append("lossy compression: grey values differ from the measured ones")
    if PHILIPS_SCALE_SLOPE in dataset and "PHILIPS" in text(dataset, "Manufacturer").upper():
        notes.append("Philips: the standard rescale is applied, not the private scaling")
    modality = text(dataset, "Modality")
    if modality != "MR":
        named = modality if re.fullmatch("[A-Z]{2,16}", modality) else "not stated"
        notes.append(f"modality is {named}, not MR")
    if _is_suspicious(getattr(dataset, "preamble", None) or b""):
        notes.append(
            "the preamble is neither zeros nor TIFF: it may be a program; never execute it"
        )
    return tuple(notes)


def _is_suspicious(preamble: bytes) -> bool:
    # PS3.10 allows files that are DICOM and TIFF at the same time.
    return bool(preamble.strip(b"\0")) and preamble[:4] not in (b"II*\0", b"MM\0*")
