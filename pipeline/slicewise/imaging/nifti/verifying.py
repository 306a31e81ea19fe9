"""Verifies NIfTI files by reading them back after writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import OutputError, ScanError
from slicewise.imaging.nifti.forms import places
from slicewise.imaging.nifti.header import Header, nifti_header, voxel_offset
from slicewise.imaging.nifti.stream import read_range
from slicewise.imaging.volume import Volume

PLACING_FIELDS = (
    *("pixdim", "xyzt_units", "sform_code", "srow_x", "srow_y", "srow_z"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)
"""Fields of the header that define the geometry."""


def require_as_written(
    temporary: Path, path: Path, voxels: NDArray[Any], placing: Header, source: Volume
) -> None:
    """Read a file back and compare it with its source.

    Args:
        temporary: the file that was written.
        path: its final path, for messages.
        voxels: expected voxels, shape (X, Y, Z) or (X, Y, Z, classes).
        placing: header whose geometry the file must have, bit for bit.
        source: volume on whose grid the file must be.

    Raises:
        OutputError: something differs.
    """
    try:
        written = nifti_header(temporary)
        start = voxel_offset(temporary, written)
        content = read_range(temporary, start, voxels.nbytes, start + voxels.nbytes)
    except ScanError as error:
        raise changed_error(path, error.found) from None
    for what in _header_differences(written, voxels, placing, source):
        raise changed_error(f"{path}: {what}", "a different value")
    stored = np.frombuffer(content, written.get_data_dtype()).reshape(voxels.shape, order="F")
    if not np.array_equal(stored, voxels, equal_nan=voxels.dtype.kind == "f"):
        raise changed_error(f"{path}: voxels", "other values")


def _header_differences(
    written: Header, voxels: NDArray[Any], placing: Header, source: Volume
) -> Iterator[str]:
    sizes = tuple(written["dim"][1 : voxels.ndim + 1])
    if written["dim"][0] != voxels.ndim or sizes != voxels.shape or sizes[:3] != source.shape:
        yield "dim"
    if written.get_data_dtype().newbyteorder("=") != voxels.dtype.newbyteorder("="):
        yield "datatype"
    if (written["scl_slope"], written["scl_inter"]) != (1, 0):
        yield "scl_slope and scl_inter"
    # Compared as bytes: unused forms may contain NaN.
    yield from (n for n in PLACING_FIELDS if written[n].tobytes() != placing[n].tobytes())
    if not places(written, source):
        yield "affine"


def changed_error(where: Path | str, found: str) -> OutputError:
    """The error for a file that differs when it is read back."""
    return OutputError(
        where,
        expected="the content that was written",
        found=f"{found} when the file was read back",
        remedy="write to another disk: this one, or the connection to it, corrupts data",
    )
