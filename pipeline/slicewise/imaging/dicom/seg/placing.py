"""Maps the pixels of a frame to the voxels of a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError
from slicewise.imaging.dicom.seg.source_slices import plane_corners
from slicewise.imaging.volume import Affine, Volume

TOLERANCE_VOXELS = 0.01
ACROSS_TOLERANCE_VOXELS = 0.1
"""Larger, because the grid has the mean of slightly irregular slice distances."""


def voxels_under(frame: Affine, size: tuple[int, int], volume: Volume, where: Path) -> NDArray[Any]:
    """A writable view of the voxels at the pixels of a frame.

    The frame may be along any two axes of the volume, in either direction, and may be smaller.

    Args:
        frame: (4, 4), (column, row, 0) indices to RAS+ millimetres.
        size: columns, rows of the frame.
        volume: that contains the voxels.
        where: file, for messages.

    Returns:
        Shape (rows, columns).

    Raises:
        GeometryError: pixels are between voxels, or outside of the volume.
    """
    to_voxels = np.linalg.inv(volume.affine) @ frame
    corners = plane_corners(*size)
    exact = (corners @ to_voxels.T)[:, :3]  # (4 corners, 3)
    steps = np.rint(to_voxels[:3, :2])  # to the next column, to the next row
    rounded = np.rint(exact[0]) + corners[:, :2] @ steps.T
    apart = np.abs(exact - rounded).max(axis=0)
    is_across = ~steps.any(axis=1)
    allowed = np.where(is_across, ACROSS_TOLERANCE_VOXELS, TOLERANCE_VOXELS)
    is_along_axes = (np.abs(steps).sum(axis=0) == 1).all() and not (steps[:, 0] * steps[:, 1]).any()
    if not (is_along_axes and (apart <= allowed).all()):
        raise _elsewhere(where, volume, f"pixels {apart.max():.3g} voxels away from the voxels")
    lowest, highest = rounded.min(axis=0).astype(int), rounded.max(axis=0).astype(int)
    if (lowest < 0).any() or (highest >= volume.shape).any():
        raise _elsewhere(where, volume, f"voxels {lowest.tolist()} to {highest.tolist()}")
    ends = zip(lowest.tolist(), highest.tolist(), steps.sum(axis=1), strict=True)
    box = volume.voxels[tuple(_range(low, high, step) for low, high, step in ends)]
    along_column, along_row = (int(axis) for axis in np.abs(steps).argmax(axis=0))
    across = 3 - along_column - along_row
    return box.transpose(along_row, along_column, across)[:, :, 0]


def _range(lowest: int, highest: int, step: float) -> slice:
    """Slice from lowest to highest, reversed for a negative step."""
    if step < 0:
        return slice(highest, lowest - 1 if lowest else None, -1)
    return slice(lowest, highest + 1)


def _elsewhere(where: Path, volume: Volume, found: str) -> GeometryError:
    return GeometryError(
        where,
        expected=f"frames on the grid of {volume.name}, shape {volume.shape}, within "
        f"{TOLERANCE_VOXELS} voxel in the plane and {ACROSS_TOLERANCE_VOXELS} across slices",
        found=found,
        remedy="give the image that the segmentation was drawn on, or resample the segmentation",
    )
