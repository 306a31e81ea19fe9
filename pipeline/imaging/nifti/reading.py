"""A NIfTI file in, its ``Volume`` out; a damaged file is refused."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ScanError, file_problem
from pipeline.imaging.nifti.forms import affine_of
from pipeline.imaging.volume import Volume

SUFFIXES = (".nii.gz", ".nii")
MAXIMUM_BYTES = 8 * 2**30
MAXIMUM_OFFSET_BYTES = 64 * 2**20
"""Room for the header with its extensions, before the first voxel."""
_HEADER_BYTES = 540

Header = nib.nifti1.Nifti1Header


def is_nifti(path: Path) -> bool:
    """Whether a name ends like a NIfTI file; ``._`` files are a file system's leftovers."""
    return path.name.endswith(SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """File name without its NIfTI suffix."""
    for suffix in SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.name


# Absurd numbers in a header are found by the checks below; numpy need not warn of them, too.
@np.errstate(invalid="ignore", over="ignore")
def read_nifti(path: Path) -> Volume:
    """Read one volume, checked to its last byte.

    Args:
        path: ``.nii`` or ``.nii.gz``; four dimensions are fine where the fourth is 1.

    Returns:
        Voxels (X, Y, Z): as they are stored where nothing is scaled, float32 otherwise.

    Raises:
        ScanError: damaged, absurd, complex, or several volumes in one file.
        GeometryError: no usable affine, or two that disagree.
    """
    header = nifti_header(path)
    shape = _shape(path, header)
    stored_bytes = math.prod(shape) * header.get_data_dtype().itemsize
    offset = _offset(path, header)
    content = _content(path, offset + stored_bytes)
    stored = np.frombuffer(content, header.get_data_dtype(), math.prod(shape), offset)
    affine, warnings = affine_of(path, header, shape)
    voxels, scaling_warnings = _scaled(stored.reshape(shape, order="F"), header)
    return Volume(voxels, affine, stem(path), header, (*warnings, *scaling_warnings))


def _open(path: Path) -> Any:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")


def _damaged(path: Path, expected: str, found: str) -> ScanError:
    return ScanError(path, expected=expected, found=found, remedy="copy or export the file again")


def _read(path: Path, size: int, *, to_the_end: bool = False) -> bytes:
    """At most ``size`` bytes of the uncompressed content, which bounds a bomb."""
    try:
        with _open(path) as stream:
            content = bytes(stream.read(size))
            if to_the_end and len(content) == size:
                # Only the end of the stream tells whether the checksum fits.
                _drain(path, stream)
            return content
    except EOFError:
        raise _damaged(path, "a complete gzip stream", "it ends too early (truncated)") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, "an intact gzip stream", str(error)) from None
    except OSError as error:
        raise _damaged(path, "a readable file", file_problem(error)) from None


def _drain(path: Path, stream: Any, allowance: int = 2**20) -> None:
    if len(stream.read(allowance)) == allowance:
        raise _damaged(path, "an end after the last voxel", f"more than {allowance} bytes after it")


def nifti_header(path: Path) -> Header:
    """The header of a file without its extensions; only its first bytes are read."""
    start = _read(path, _HEADER_BYTES)
    kind: Any = (
        nib.Nifti2Header if start[:4] in (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c") else Header
    )
    if len(start) < kind.sizeof_hdr:
        raise _damaged(path, f"a NIfTI header of {kind.sizeof_hdr} bytes", f"{len(start)} bytes")
    try:
        # Extensions are left out: they may be long, and nothing here needs them.
        header: Header = kind(start[: kind.sizeof_hdr], check=False)
        header.get_data_dtype()
    except Exception as error:  # nibabel raises many kinds on hostile headers
        raise _damaged(path, "a NIfTI header", str(error) or type(error).__name__) from None
    if header["magic"].item().rstrip(b"\0\r\n\x1a") not in (b"n+1", b"n+2"):
        raise _damaged(path, "a single-file NIfTI header", "another or an empty header")
    return header


def _shape(path: Path, header: Header) -> tuple[int, int, int]:
    """Three dimensions, checked before anything of that size is allocated."""
    rank, *sizes = (int(value) for value in header["dim"])
    sizes = sizes[:rank] if 1 <= rank <= 7 else []
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    sizes += [1] * (3 - len(sizes))
    dtype = header.get_data_dtype()
    where = f"{path}: dim"
    if not 1 <= rank <= 7 or min(sizes) < 1:
        raise _damaged(path, "1 to 7 dimensions of at least 1", f"dim {header['dim'].tolist()}")
    if math.prod(sizes) * dtype.itemsize > MAXIMUM_BYTES:
        raise ScanError(
            where,
            expected=f"at most {MAXIMUM_BYTES // 2**30} GiB of voxels",
            found=f"{' x '.join(map(str, sizes))} voxels of {dtype.itemsize} bytes",
            remedy="crop the scan, or export it again if the header is wrong",
        )
    if len(sizes) > 3:
        raise ScanError(
            where,
            expected="one volume",
            found=f"{math.prod(sizes[3:])} volumes in one file",
            remedy="write each volume into a file of its own",
        )
    if dtype.kind not in "iuf":
        raise ScanError(
            f"{path}: datatype",
            expected="real numbers",
            found=f"{dtype} voxels",
            remedy="export magnitude images",
        )
    return sizes[0], sizes[1], sizes[2]


def _offset(path: Path, header: Header) -> int:
    """Where the voxels start; a NaN is outside any range, too."""
    offset = float(header["vox_offset"])
    if not header.sizeof_hdr <= offset <= MAXIMUM_OFFSET_BYTES:
        expected = f"voxels that start {header.sizeof_hdr} to {MAXIMUM_OFFSET_BYTES} bytes in"
        raise _damaged(path, expected, f"vox_offset {offset:g}")
    return int(offset)


def _content(path: Path, size: int) -> bytes:
    content = _read(path, size, to_the_end=True)
    if len(content) < size:
        raise _damaged(path, f"{size} bytes of header and voxels", f"{len(content)} (truncated)")
    return content


def _scaled(stored: NDArray[Any], header: Header) -> tuple[NDArray[Any], tuple[str, ...]]:
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or (math.isnan(slope) and math.isnan(intercept)):
        return native, ()
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        return native, (f"scaling {slope} * x + {intercept} in the header was ignored",)
    if (slope, intercept) == (1.0, 0.0):
        return native, ()
    return (native * slope + intercept).astype(np.float32), ()
