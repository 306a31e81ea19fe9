"""Reads and validates the headers of NIfTI files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import nibabel as nib

from slicewise.errors import ScanError
from slicewise.imaging.content import GZIP, NIFTI, NIFTI_GZ, with_actual_format
from slicewise.imaging.nifti.stream import damaged, is_compressed, read_start

MAXIMUM_BYTES = 8 * 2**30
MAXIMUM_OFFSET_BYTES = 64 * 2**20
"""Maximum size of the header with its extensions."""
_LARGEST_HEADER_BYTES = 540
_NIFTI_2_STARTS = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")

Header = nib.nifti1.Nifti1Header


def nifti_header(path: Path) -> Header:
    """The header of a file, without extensions; the voxels are not read.

    Raises:
        ScanError: the file does not start with the header of a single-file NIfTI.
    """
    try:
        return _header(path)
    except ScanError as error:
        promised = (NIFTI_GZ, GZIP) if is_compressed(path) else (NIFTI,)
        raise with_actual_format(error, path, promised) from None


def _header(path: Path) -> Header:
    start = read_start(path, _LARGEST_HEADER_BYTES)
    kind: Any = nib.Nifti2Header if start[:4] in _NIFTI_2_STARTS else Header
    if len(start) < kind.sizeof_hdr:
        raise damaged(path, f"a NIfTI header of {kind.sizeof_hdr} bytes", f"{len(start)} bytes")
    try:
        # Extensions can be long, and are not needed.
        header: Header = kind(start[: kind.sizeof_hdr], check=False)
        header.get_data_dtype()
    except Exception as error:  # nibabel raises many types for malicious headers
        raise damaged(path, "a NIfTI header", str(error) or "bytes of another format") from None
    if header["magic"].item().rstrip(b"\0\r\n\x1a") not in (b"n+1", b"n+2"):
        raise damaged(path, "a single-file NIfTI header", "another or an empty header")
    return header


def dimensions(path: Path, header: Header) -> tuple[tuple[int, int, int], int]:
    """Shape and number of volumes, checked before memory is allocated.

    Raises:
        ScanError: invalid or excessive sizes, or voxels that are not real numbers.
    """
    rank, *sizes = (int(value) for value in header["dim"])
    sizes = sizes[:rank] if 1 <= rank <= 7 else []
    sizes += [1] * (3 - len(sizes))
    dtype = header.get_data_dtype()
    if not 1 <= rank <= 7 or min(sizes) < 1:
        raise damaged(path, "1 to 7 dimensions of at least 1", f"dim {header['dim'].tolist()}")
    if math.prod(sizes) * dtype.itemsize > MAXIMUM_BYTES:
        raise ScanError(
            f"{path}: dim",
            expected=f"at most {MAXIMUM_BYTES // 2**30} GiB of voxels",
            found=f"{' x '.join(map(str, sizes))} voxels of {dtype.itemsize} bytes",
            remedy="crop the scan, or export it again if the header is wrong",
        )
    if dtype.kind not in "iuf":
        raise ScanError(
            f"{path}: datatype",
            expected="real numbers",
            found=f"{dtype} voxels",
            remedy="export magnitude images instead",
        )
    return (sizes[0], sizes[1], sizes[2]), math.prod(sizes[3:])


def voxel_offset(path: Path, header: Header) -> int:
    """Byte at which the voxels start.

    Raises:
        ScanError: inside the header, or too far behind it.
    """
    offset = float(header["vox_offset"])
    # This also refuses NaN.
    if not header.sizeof_hdr <= offset <= MAXIMUM_OFFSET_BYTES:
        expected = f"a vox_offset between {header.sizeof_hdr} and {MAXIMUM_OFFSET_BYTES} bytes"
        raise damaged(path, expected, f"vox_offset {offset:g}")
    return int(offset)
