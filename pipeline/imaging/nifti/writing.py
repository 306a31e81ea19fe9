"""Masks, probabilities and volumes in, NIfTI files on the grid of their source out."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.files import atomic_file
from pipeline.imaging.nifti.reading import Header, nifti_header
from pipeline.imaging.volume import Volume, require_same_grid

_FREE_TEXT_FIELDS = ("descrip", "aux_file", "intent_name", "db_name", "data_type", "unused_str")


def write_mask(mask: Volume, source: Volume, path: Path) -> None:
    """Write a label map on the grid of its source.

    The header is the source's: affine, q/sform with their codes and units stay, free text goes,
    the data type is the smallest integer that holds the labels, and nothing is scaled.

    Raises:
        GeometryError: mask and source lie on different grids.
        OutputError: the file cannot be written.
    """
    require_same_grid(source, mask, tolerance_voxels=1e-3)
    voxels = mask.voxels.astype(np.min_scalar_type(int(mask.voxels.max(initial=0))))
    _write(voxels, source, path)


def write_probabilities(probabilities: Sequence[Volume], source: Volume, path: Path) -> None:
    """Write one float32 volume a class, stacked along the fourth dimension."""
    for probability in probabilities:
        require_same_grid(source, probability, tolerance_voxels=1e-3)
    _write(
        np.stack([item.voxels for item in probabilities], axis=-1, dtype=np.float32), source, path
    )


def write_volume(volume: Volume, path: Path) -> None:
    """Write a volume on its own grid, in its own data type."""
    _write(volume.voxels, volume, path)


def _write(voxels: NDArray[Any], source: Volume, path: Path) -> None:
    header = _shared_header(source, voxels.dtype)
    kind: Any = nib.Nifti2Image if isinstance(header, nib.Nifti2Header) else nib.Nifti1Image
    image = kind(voxels, source.affine, header)
    if source.header is None:
        image.set_sform(source.affine, code=1)
        image.set_qform(source.affine, code=1)
        if not np.allclose(image.get_qform(), source.affine, atol=1e-3):
            # A quaternion holds no shear; a form that is wrong is worse than none.
            image.set_qform(None)
    image.header.set_slope_inter(1, 0)
    content = image.to_bytes()
    if path.name.endswith(".gz"):
        # A fixed time stamp: the same mask is the same file.
        content = gzip.compress(content, compresslevel=4, mtime=0)
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
        written = nifti_header(temporary)
        assert np.allclose(written.get_best_affine(), source.affine, atol=1e-4), path


def _shared_header(source: Volume, dtype: np.dtype[Any]) -> Header:
    """The source's header without what could tell who was scanned."""
    header = Header() if source.header is None else source.header.copy()
    header.set_data_dtype(dtype)
    if source.header is None:
        header.set_xyzt_units("mm")
    for name in set(_FREE_TEXT_FIELDS) & set(header.keys()):
        header[name] = b""
    header["cal_min"] = header["cal_max"] = 0
    header.extensions.clear()
    header.set_data_offset(0)  # nibabel takes the smallest
    return header
