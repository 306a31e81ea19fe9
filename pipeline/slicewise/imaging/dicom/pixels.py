"""Decodes the pixels of DICOM files; runs in a child process of the sandbox only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import ScanError
from slicewise.imaging.dicom.frames import flat_frame, is_multi_frame
from slicewise.imaging.dicom.mosaic import tiles_per_side
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.pixel_header import rescale_of

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need it.
    from pydicom import Dataset, FileDataset
    from pydicom.uid import UID

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
)
JPEG_SYNTAXES = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
GDCM_SYNTAXES = tuple(
    f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91)
)
"""Transfer syntaxes that SimpleITK can decode: JPEG, JPEG-LS and JPEG 2000."""
DEFERRED_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Slice:
    """Location of the pixels of one slice.

    Attributes:
        path: of the file.
        frame: index of the frame or tile in the file, from 0.
        tiles: number of slices in a mosaic; 0 for other images.
    """

    path: Path
    frame: int
    tiles: int


def decode_series(
    slices: Sequence[Slice], size: tuple[int, int], voxel_type: str, target: Path
) -> None:
    """Write the rescaled values of all slices to a file, in the order (slices, rows, columns).

    Only one image is in memory at a time.

    Args:
        slices: in the order of the output.
        size: columns, rows.
        voxel_type: NumPy data type of the output.
        target: file to create.

    Raises:
        ScanError: a file cannot be decoded, or has changed since it was scanned.
        OSError: the target cannot be written.
    """
    is_blank = True
    # Unbuffered, so that its size shows the progress of a decoder that dies.
    with target.open("wb", buffering=0) as output:
        for one, values, is_padding in _values(slices, target.parent):
            is_blank = is_blank and is_padding
            columns, rows = size
            if values.shape != (rows, columns):
                raise _changed(one.path, f"{rows} x {columns} pixels", f"shape {values.shape}")
            if voxel_type != "float32" and not np.can_cast(values.dtype, voxel_type):
                raise _changed(one.path, voxel_type, str(values.dtype))
            _write_all(output, np.ascontiguousarray(values, dtype=voxel_type))
    if is_blank:
        raise ScanError(
            f"{slices[0].path}: PixelPaddingValue",
            expected="an image",
            found="padding in every pixel of the series",
            remedy="export the series again, or exclude it",
        )


def _write_all(output: FileIO, values: Pixels) -> None:
    remaining = values.data.cast("B")
    # An unbuffered write may be partial, for example on a full disk.
    while remaining:
        remaining = remaining[output.write(remaining) :]


def _values(slices: Sequence[Slice], scratch: Path) -> Iterator[tuple[Slice, Pixels, bool]]:
    """Each slice with its rescaled values (rows, columns), and whether they are all padding.

    A file is parsed once for consecutive slices.
    """
    for path, run in groupby(slices, key=lambda one: one.path):
        try:
            yield from _values_of(path, list(run), scratch)
        except ScanError:
            raise
        except Exception:  # a malicious file can make any of these steps raise anything
            raise _undecodable(path) from None


def _values_of(
    path: Path, slices: Sequence[Slice], scratch: Path
) -> Iterator[tuple[Slice, Pixels, bool]]:
    # Large values, such as the pixels of many frames, are read when they are needed.
    dataset = open_dicom(path, defer_size=DEFERRED_BYTES)
    if slices[0].tiles:
        stored = _frame(path, dataset, 0, scratch)
        image, is_padding = _rescaled(path, dataset, stored), _is_padding(dataset, stored)
        yield from ((one, _tile(image, one), is_padding) for one in slices)
        return
    for one in slices:
        header = flat_frame(dataset, one.frame) if is_multi_frame(dataset) else dataset
        stored = _frame(path, dataset, one.frame, scratch)
        yield one, _rescaled(path, header, stored), _is_padding(dataset, stored)


def _is_padding(dataset: Dataset, stored: Pixels) -> bool:
    padding = dataset.get("PixelPaddingValue")
    return padding is not None and bool(np.isin(stored, padding).all())


def _tile(image: Pixels, one: Slice) -> Pixels:
    side = tiles_per_side(one.tiles)
    rows, columns = image.shape[0] // side, image.shape[1] // side
    down, across = divmod(one.frame, side)
    return image[down * rows : (down + 1) * rows, across * columns : (across + 1) * columns]


def _rescaled(path: Path, dataset: Dataset, stored: Pixels) -> Pixels:
    stored = _only_stored_bits(path, dataset, stored)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        stored = _inverted(dataset, stored)
    slope, intercept = rescale_of(path, dataset)
    if (slope, intercept) == (1.0, 0.0):
        return stored
    rescaled: Pixels = (stored * slope + intercept).astype(np.float32)
    return rescaled


def _frame(path: Path, dataset: FileDataset, number: int, scratch: Path) -> Pixels:
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.uid import UID

    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise _no_decoder(path, syntax, "") from None
    if not decoder.is_available and syntax not in GDCM_SYNTAXES:
        raise _no_decoder(path, syntax, "; or ".join(decoder.missing_dependencies))
    try:
        pixels: Pixels = pixel_array(dataset, index=number)
    except RuntimeError:
        # The JPEG decoder of pydicom supports 8 bits only.
        if decoder.is_available and syntax not in JPEG_SYNTAXES:
            raise
        pixels = _decoded_by_gdcm(dataset, number, scratch)
    if pixels.dtype.kind not in "iu":
        raise ScanError(
            path,
            expected="pixels that are integers",
            found=f"{pixels.dtype} pixels",
            remedy="export the series with integers and a rescale slope",
        )
    return pixels


def _no_decoder(path: Path, syntax: UID, packages: str) -> ScanError:
    install = f"install one: {packages}; or " if packages else ""
    compression = syntax.name if syntax.name != syntax else "its compression"
    return ScanError(
        f"{path}: TransferSyntaxUID",
        expected=f"a decoder for {compression}",
        found="no such decoder in this environment",
        remedy=f"{install}export the series uncompressed",
    )


def _undecodable(path: Path) -> ScanError:
    return ScanError(
        path,
        expected="pixels that can be decoded",
        found="truncated or damaged pixel data",
        remedy="export the file again",
    )


def _decoded_by_gdcm(dataset: FileDataset, number: int, scratch: Path) -> Pixels:
    """Stored values of one compressed frame, decoded by SimpleITK."""
    import SimpleITK
    from pydicom import Dataset
    from pydicom.encaps import encapsulate, get_frame

    # A minimal copy, because GDCM would rescale and invert according to other tags.
    bare = Dataset()
    for keyword in BARE_IMAGE_KEYWORDS:
        bare[keyword] = dataset[keyword]
    frames = int(dataset.get("NumberOfFrames") or 1)
    bare.PixelData = encapsulate([get_frame(dataset.PixelData, number, number_of_frames=frames)])
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.file_meta = dataset.file_meta
    copy = scratch / "compressed.dcm"
    bare.save_as(copy, enforce_file_format=True)
    sign = "int" if dataset.PixelRepresentation else "uint"
    image = SimpleITK.ReadImage(str(copy), imageIO="GDCMImageIO")
    pixels: Pixels = SimpleITK.GetArrayFromImage(image)[0]  # (1, rows, columns) to (rows, columns)
    return pixels.astype(f"{sign}{dataset.BitsAllocated}")


def _only_stored_bits(path: Path, dataset: Dataset, stored: Pixels) -> Pixels:
    """Clear bits above the stored ones, such as overlays, and extend the sign."""
    allocated = stored.dtype.itemsize * 8
    used, high = int(dataset.BitsStored), int(dataset.HighBit)
    if not 0 < used <= high + 1 <= allocated:
        raise ScanError(
            f"{path}: BitsStored, HighBit",
            expected=f"at most {allocated} stored bits",
            found=f"{used} bits up to bit {high}",
            remedy="export the file again",
        )
    if used == allocated:
        return stored
    # The right shift of a signed type is arithmetic: it extends the sign.
    return (stored << (allocated - 1 - high)) >> (allocated - used)


def _inverted(dataset: Dataset, stored: Pixels) -> Pixels:
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
