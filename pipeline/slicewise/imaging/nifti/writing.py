"""Writes masks, probabilities and volumes as NIfTI files with the geometry of their source."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.imaging.files import atomic_file
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.nifti.forms import forms_agree, places
from slicewise.imaging.nifti.header import Header
from slicewise.imaging.nifti.verifying import PLACING_FIELDS, require_as_written
from slicewise.imaging.volume import Volume, require_same_grid

_INTEGERS = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64)


def write_mask(mask: Volume, source: Volume, path: Path) -> None:
    """Write a label map on the grid of its source.

    sform, qform, their codes, pixdim and units are copied from the header of the source bit for
    bit, even if its affine was repaired; free text is not. Labels are stored without scaling in
    the smallest integer type. The file is read back before it replaces another one.

    Raises:
        GeometryError: mask and source are on different grids.
        LabelError: labels that are not whole numbers.
        OutputError: the file cannot be written, or differs when it is read back.
    """
    require_same_grid(source, mask, tolerance_voxels=1e-3)
    _write(smallest_integers(mask), source, path)


def write_probabilities(probabilities: Sequence[Volume], source: Volume, path: Path) -> None:
    """Write one float32 volume per class, stacked along the fourth dimension.

    Raises:
        GeometryError: probabilities and source are on different grids.
        OutputError: the file cannot be written, or differs when it is read back.
    """
    for probability in probabilities:
        require_same_grid(source, probability, tolerance_voxels=1e-3)
    _write(
        np.stack([item.voxels for item in probabilities], axis=-1, dtype=np.float32), source, path
    )


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume on its own grid, in its own data type.

    Raises:
        OutputError: the file cannot be written, or differs when it is read back.
    """
    _write(volume.voxels, volume, path)


def smallest_integers(mask: Volume) -> NDArray[Any]:
    """The labels of a mask in the smallest integer type that can represent them.

    Raises:
        LabelError: fractions, NaN or infinite values.
    """
    labels = whole_numbers(mask.voxels, mask.name)
    low, high = int(labels.min(initial=0)), int(labels.max(initial=0))
    kind = next(k for k in _INTEGERS if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
    return labels.astype(kind)


def _write(voxels: NDArray[Any], source: Volume, path: Path) -> None:
    placing = _placing_header(voxels, source)
    header = _header_like(placing, voxels)
    # Not by nibabel, whose images change unusual forms. Four zero bytes: no extension follows.
    stored = voxels.astype(header.get_data_dtype(), copy=False)
    content = header.binaryblock + bytes(4) + stored.tobytes(order="F")
    if path.name.lower().endswith(".gz"):
        # A fixed time stamp makes the output deterministic.
        content = gzip.compress(content, compresslevel=4, mtime=0)
    with atomic_file(path, size_bytes=len(content)) as temporary:
        temporary.write_bytes(content)
        require_as_written(temporary, path, voxels, placing, source)


def _placing_header(voxels: NDArray[Any], source: Volume) -> Header:
    """The header whose forms are written: that of the source, unless its affine has changed."""
    kept = source.header
    if kept is not None and places(_header_like(kept, voxels), source):
        return kept
    header = Header() if kept is None else type(kept)()
    header.set_xyzt_units("mm")
    header.set_sform(source.affine, code=1)
    header.set_qform(source.affine, code=1)
    if not forms_agree(header, source.shape):
        # A quaternion cannot represent shear; a wrong form is worse than none.
        header.set_qform(None)
    return header


def _header_like(placing: Header, voxels: NDArray[Any]) -> Header:
    """A new header with the geometry of another one."""
    header = type(placing)(endianness=placing.endianness)
    header.set_data_dtype(voxels.dtype)
    # Not by nibabel's set_data_shape, which encodes some sizes as FreeSurfer does.
    header["dim"] = [voxels.ndim, *voxels.shape, *[1] * (7 - voxels.ndim)]
    for name in PLACING_FIELDS:
        header[name] = placing[name]
    header["vox_offset"] = header.sizeof_hdr + 4
    header["scl_slope"], header["scl_inter"] = 1, 0
    return header
