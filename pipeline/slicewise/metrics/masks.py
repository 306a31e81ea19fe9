"""Masks of one structure in two label maps, on one grid and cropped to its bounding box."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.volume import Volume, require_same_grid

SAME_GRID_VOXELS = 0.01


@dataclass(frozen=True)
class MaskPair:
    """One structure in a prediction and in its reference.

    Attributes:
        predicted: binary, shape (X, Y, Z).
        reference: binary, on the same grid.
    """

    predicted: Volume
    reference: Volume


def on_one_grid(predicted: Volume, reference: Volume) -> tuple[Volume, Volume]:
    """Two label maps as whole numbers, both with the axes of the reference.

    Raises:
        GeometryError: they are on different grids.
        LabelError: values that are not whole numbers.
    """
    predicted, reference = _whole_numbers(predicted), _whole_numbers(reference)
    return with_axes_of(predicted, reference), reference


def with_axes_of(volume: Volume, reference: Volume) -> Volume:
    """Reorient a prediction to the axes of its reference.

    Raises:
        GeometryError: they are on different grids.
    """
    # Near 45 degrees the nearest anatomical axes of a grid are ambiguous.
    if volume.grid_difference_voxels(reference) > SAME_GRID_VOXELS:
        volume = volume.reoriented(reference.orientation)
    require_same_grid(reference, volume, SAME_GRID_VOXELS)
    return volume


def mask_pair(predicted: Volume, reference: Volume, value: int) -> MaskPair:
    """One structure in two label maps of the same grid, cropped to the box around both masks.

    The box has a margin of one voxel inside of the scan, so that an axis with a single voxel has
    only one in the whole scan.
    """
    ours, theirs = predicted.voxels == value, reference.voxels == value
    box = box_around(ours | theirs)
    return MaskPair(
        cropped(predicted.with_voxels(ours), box), cropped(reference.with_voxels(theirs), box)
    )


def box_around(mask: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Bounding box of a mask with a margin of one voxel; the first voxels if it is empty."""

    def part(axis: int) -> slice:
        others = tuple({0, 1, 2} - {axis})
        places = np.flatnonzero(mask.any(axis=others))
        first, last = (int(places[0]), int(places[-1])) if len(places) else (0, 0)
        return slice(max(first - 1, 0), last + 2)

    return part(0), part(1), part(2)


def cropped(volume: Volume, box: tuple[slice, slice, slice]) -> Volume:
    """The voxels of a box, with the matching affine."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.world_position_mm(np.array([part.start for part in box]))
    return replace(volume, voxels=volume.voxels[box], affine=affine)


def _whole_numbers(label_map: Volume) -> Volume:
    """Labels as integers, because scaled voxels may be 0.9999 instead of 1."""
    voxels: NDArray[Any] = whole_numbers(label_map.voxels, label_map.name)
    return label_map.with_voxels(voxels)
