"""DICOM files in, their rescaled grey values out; runs in the sandbox's child process only."""

from __future__ import annotations

from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ScanError

if TYPE_CHECKING:
    # At run time pydicom is imported inside the functions: the calling process never needs it.
    from pydicom import FileDataset

Pixels = NDArray[Any]

BARE_IMAGE_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)


def decode_series(
    files: Sequence[Path], shape: tuple[int, int, int], voxel_type: str, target: Path
) -> None:
    """Write the rescaled values of all slices to a file: slices, in them rows, in them columns.

    Only one slice is held in memory.

    Args:
        files: one a slice, in the order in which they are written.
        shape: columns, rows, slices.
        voxel_type: numpy name of the type that is written.
        target: the file to make.

    Raises:
        ScanError: a file cannot be decoded, or is not what its header was when it was scanned.
        OSError: the target cannot be written.
    """
    # Unbuffered, so that its size tells how far a decoder came that dies.
    with target.open("wb", buffering=0) as output:
        for path in files:
            values = _values(path, shape[:2], target.parent)  # (rows, columns)
            if voxel_type != "float32" and not np.can_cast(values.dtype, voxel_type):
                raise _changed(path, voxel_type, str(values.dtype))
            _write_all(output, np.ascontiguousarray(values, dtype=voxel_type))


def _write_all(output: FileIO, values: Pixels) -> None:
    remaining = values.data.cast("B")
    # A single unbuffered write may take less than it is given, on a full disk for one.
    while remaining:
        remaining = remaining[output.write(remaining) :]


def _values(path: Path, size: tuple[int, int], scratch: Path) -> Pixels:
    dataset, stored = _stored_pixels(path, scratch)
    columns, rows = size
    if stored.shape != (rows, columns):
        raise _changed(path, f"{rows} x {columns} pixels", f"shape {stored.shape}")
    stored = _only_stored_bits(path, dataset, stored)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored = _inverted(dataset, stored)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    slope = 1.0 if slope in (None, "") else float(slope)
    intercept = 0.0 if intercept in (None, "") else float(intercept)
    if (slope, intercept) == (1.0, 0.0):
        return stored
    rescaled: Pixels = (stored * slope + intercept).astype(np.float32)
    return rescaled


def _stored_pixels(path: Path, scratch: Path) -> tuple[FileDataset, Pixels]:
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        try:
            return dataset, dataset.pixel_array
        except (RuntimeError, NotImplementedError):
            if not dataset.file_meta.TransferSyntaxUID.is_compressed:
                raise
            # pydicom has no decoder of its own for this compression.
            return dataset, _decoded_by_gdcm(dataset, scratch)
    except Exception as error:  # a hostile file can make parser and decoder raise anything
        raise ScanError(
            path,
            expected="pixels that can be decoded",
            found=f"truncated or damaged pixel data ({type(error).__name__})",
            remedy="export the file again",
        ) from None


def _decoded_by_gdcm(dataset: FileDataset, scratch: Path) -> Pixels:
    """Stored values of a compressed image, by the decoders that SimpleITK brings."""
    import SimpleITK
    from pydicom.dataset import Dataset

    # A bare copy: GDCM would rescale, invert and interpret by the tags that are left out.
    bare = Dataset()
    for keyword in BARE_IMAGE_KEYWORDS:
        bare[keyword] = dataset[keyword]
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.file_meta = dataset.file_meta
    copy = scratch / "compressed.dcm"
    bare.save_as(copy, enforce_file_format=True)
    sign = "int" if dataset.PixelRepresentation else "uint"
    image = SimpleITK.ReadImage(str(copy), imageIO="GDCMImageIO")
    pixels: Pixels = SimpleITK.GetArrayFromImage(image)[0]  # (1, rows, columns) to (rows, columns)
    return pixels.astype(f"{sign}{dataset.BitsAllocated}")


def _only_stored_bits(path: Path, dataset: FileDataset, stored: Pixels) -> Pixels:
    """Clear what lies above the stored bits, such as overlays, and extend the sign."""
    allocated = stored.dtype.itemsize * 8
    used, high = int(dataset.BitsStored), int(dataset.HighBit)
    if not 0 < used <= high + 1 <= allocated:
        raise ScanError(
            f"{path}: BitsStored, HighBit",
            expected=f"bits within the {allocated} that are allocated",
            found=f"{used} bits up to bit {high}",
            remedy="export the file again",
        )
    if used == allocated:
        return stored
    # The right shift of a signed type is arithmetic: it extends the sign.
    return (stored << (allocated - 1 - high)) >> (allocated - used)


def _inverted(dataset: FileDataset, stored: Pixels) -> Pixels:
    if stored.dtype.kind == "i":
        return ~stored
    inverted: Pixels = stored.dtype.type(2 ** int(dataset.BitsStored) - 1) - stored
    return inverted


def _changed(path: Path, expected: str, found: str) -> ScanError:
    return ScanError(
        path,
        expected=expected,
        found=found,
        remedy="the file has changed since it was scanned; scan the folder again",
    )
