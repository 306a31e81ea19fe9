"""Recognises the format of a file by its first bytes, for messages about a wrong suffix."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import ScanError, SlicewiseError

_START_BYTES = 512
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c")
"""Sizes of NIfTI and Analyze headers, 348 and 540, in either byte order."""


@dataclass(frozen=True)
class Format:
    """A format in words, and what to do with a file whose suffix promises another one."""

    words: str
    remedy: str


NIFTI = Format("an uncompressed NIfTI file", "rename it to end in .nii")
NIFTI_GZ = Format("a NIfTI file compressed by gzip", "rename it to end in .nii.gz")
GZIP = Format(
    "a file compressed by gzip", "decompress it with gunzip, and give it the suffix of its format"
)
DICOM = Format("a DICOM file", "rename it to end in .dcm")
NRRD = Format("an NRRD file", "rename it to end in .nrrd, or .seg.nrrd for a segmentation")
_EXPORT = "export the scan as NIfTI"
_PAIR = Format("a header of a pair of .hdr and .img files", _EXPORT)
_ANALYZE = Format("an Analyze 7.5 header, which has no orientation", _EXPORT)
_MAGICS = {b"n+1": NIFTI, b"n+2": NIFTI, b"ni1": _PAIR, b"ni2": _PAIR, bytes(3): _ANALYZE}
_WEB_PAGE = Format(
    "a web page, such as the error page of a download", "download the scan again, and open the page"
)
_TIFF = Format("a TIFF picture", "rename it to end in .tif")
_STARTS = {
    b"PK\x03\x04": Format("a zip archive", "unpack it with unzip"),
    b"BZh": Format("a bzip2 file", "unpack it with bunzip2"),
    b"\xfd7zXZ\0": Format("an xz file", "unpack it with unxz"),
    b"7z\xbc\xaf\x27\x1c": Format("a 7-Zip archive", "unpack it with 7z"),
    b"\x89PNG": Format("a PNG picture", "rename it to end in .png"),
    b"\xff\xd8\xff": Format("a JPEG picture", "rename it to end in .jpg"),
    b"II*\0": _TIFF,
    b"MM\0*": _TIFF,
    b"NRRD": NRRD,
    b"\x89HDF": Format("an HDF5 file", _EXPORT),
    b"ObjectType": Format("a MetaImage file", _EXPORT),
    b"%PDF": Format("a PDF document", "replace it by the scan"),
    b"version https://git-lfs": Format("a Git LFS pointer instead of the file", "run git lfs pull"),
    b"/annex/objects/": Format("a git-annex pointer instead of the file", "run git annex get"),
}


def format_of(path: Path) -> Format | None:
    """The format of a file by its content; None if it is unknown or unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
    except OSError:
        return None
    return _packed_format(start) if start.startswith(_GZIP) else _format(start)


def with_actual_format(
    error: SlicewiseError, path: Path, promised: Collection[Format] = ()
) -> ScanError:
    """An error about a file, which names its format if the suffix promises another one.

    Args:
        error: about the content of the file.
        path: of the file.
        promised: formats that its suffix promises.
    """
    actual = format_of(path)
    if actual is None or actual in promised:
        return ScanError(
            error.where, expected=error.expected, found=error.found, remedy=error.remedy
        )
    return ScanError(error.where, expected=error.expected, found=actual.words, remedy=actual.remedy)


def _format(start: bytes) -> Format | None:
    for magic, known in _STARTS.items():
        if start.startswith(magic):
            return known
    if start[128:132] == b"DICM":
        return DICOM
    if start[:4] in _HEADER_BYTES:
        magic = start[4:7] if start[:4] in _HEADER_BYTES[2:] else start[344:347]
        return _MAGICS.get(magic)
    text = start.lstrip().lower()
    return _WEB_PAGE if text.startswith((b"<!doctype", b"<html", b"<?xml")) else None


def _packed_format(start: bytes) -> Format:
    try:
        content = zlib.decompressobj(wbits=31).decompress(start, _START_BYTES)
    except zlib.error:
        content = b""
    if content.startswith(_GZIP):
        return Format("a gzip file within a gzip file", "decompress it once with gunzip")
    inner = _format(content)
    if inner is NIFTI:
        return NIFTI_GZ
    return Format(f"{inner.words}, compressed by gzip", GZIP.remedy) if inner else GZIP
