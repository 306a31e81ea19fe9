"""Opens DICOM files, with or without the preamble of the standard.

Runs in a child process of the sandbox, or on files that were scanned there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_PREAMBLE_BYTES = 128
_START_BYTES = 138
_FIRST_GROUPS = (b"\x02\0", b"\x08\0", b"\0\x08")
"""File meta information, or the first group of an image in either byte order."""
_LONGEST_FIRST_VALUE = 256


def open_dicom(path: Path, **options: Any) -> FileDataset:
    """Read a DICOM file; keywords are options of ``pydicom.dcmread``.

    Files of before the standard's file format start with the first element of the image, and have
    no transfer syntax: it is derived from their encoding.

    Raises:
        InvalidDicomError: not a DICOM file.
        ValueError: file meta information without a numeric length, which pydicom would print.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    meta = start[_PREAMBLE_BYTES:]
    if meta[:8] == b"DICM\x02\0\0\0" and meta[8:10] != b"UL":
        raise ValueError("file meta information without a length")
    if "specific_tags" in options:
        # By it a file without preamble is recognised.
        options["specific_tags"] = [*options["specific_tags"], "SOPClassUID"]
    if meta[:4] == b"DICM" or not _may_be_bare(start):
        return pydicom.dcmread(path, **options)
    try:
        return _with_transfer_syntax(pydicom.dcmread(path, force=True, **options))
    except OSError:
        raise
    except Exception as error:  # the content may be anything
        raise InvalidDicomError(str(error)) from None


def _may_be_bare(start: bytes) -> bool:
    """Whether a file starts with a plausible first element."""
    if start[:2] not in _FIRST_GROUPS or len(start) < _START_BYTES:
        return False
    is_explicit = start[4:6].isalpha() and start[4:6].isupper()
    length = int.from_bytes(start[4:8], "little")
    return is_explicit or length <= _LONGEST_FIRST_VALUE


def _with_transfer_syntax(dataset: FileDataset) -> FileDataset:
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    uid = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if not uid or not uid.is_valid or not uid.startswith("1.2.840.10008."):
        raise ValueError("no class of DICOM objects")
    if "TransferSyntaxUID" not in dataset.file_meta:
        is_implicit, is_little_endian = dataset.original_encoding
        plain = ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else plain
    return dataset
