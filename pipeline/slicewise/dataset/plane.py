"""Axes along which volumes are sliced, according to the configured plane."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slicewise.config import PreprocessingSection
from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume

PLANES = ("sagittal", "coronal", "axial")
"""Planes normal to the axes of a RAS volume."""
_DIRECTIONS = ("LR", "PA", "IS")
"""Directions of the normals of these planes."""


def slice_axis(grid: Volume, section: PreprocessingSection) -> int:
    """Axis of the RAS volume along which it is sliced: 0 sagittal, 1 coronal, 2 axial.

    With ``plane: all`` it is the axis along which slices are stored.

    Raises:
        GeometryError: a single slice in another plane.
    """
    upright = grid.reoriented("RAS")
    if section.plane == "thickest":
        return upright.thickest_axis
    if section.plane == "all":
        _require_depth(upright)
        return 0
    axis = PLANES.index(section.plane)
    single = [name for name, size in zip(PLANES, upright.shape, strict=True) if size == 1]
    if single and section.plane not in single:
        raise GeometryError(
            grid.name,
            expected=f"more than a single slice, because preprocessing.plane is {section.plane}",
            found=f"one {single[0]} slice of shape {grid.shape}",
            remedy="set preprocessing.plane to thickest, or exclude single slices of other planes",
        )
    return axis


def stored_axis(grid: Volume, plane: str) -> int:
    """Axis of the stored voxels that is normal to a plane; the nearest, if oblique."""
    directions = _DIRECTIONS[PLANES.index(plane)]
    return next(axis for axis, code in enumerate(grid.orientation) if code in directions)


def view_axes(section: PreprocessingSection, axis: int) -> tuple[int, ...]:
    """Axes of the RAS volume along which slices are predicted.

    Args:
        section: with the plane.
        axis: along which slices are stored, see ``slice_axis``.
    """
    return (0, 1, 2) if section.plane == "all" else (axis,)


def stack_axes(section: PreprocessingSection) -> tuple[int, ...]:
    """Axes of stored slices (D, H, W) along which slices are predicted; see ``view_axes``."""
    return (0, 1, 2) if section.plane == "all" else (0,)


def known_axes(section: PreprocessingSection) -> tuple[int, ...] | None:
    """Axes of the RAS volume for ``stack_axes``; None if they depend on the scan."""
    if section.plane == "thickest":
        return None
    return (0, 1, 2) if section.plane == "all" else (PLANES.index(section.plane),)


def spacing_of(
    section: PreprocessingSection, axis: int, shape: Sequence[int], stored_mm: Sequence[float]
) -> tuple[float, ...]:
    """Spacing of a RAS volume after preprocessing.

    Args:
        section: with the spacing, in the plane or of all axes, or with the longest side.
        axis: along which the volume is sliced.
        shape: of the volume.
        stored_mm: its spacing before.
    """
    if section.longest_side is not None:
        # From the middle of the first pixel to that of the last.
        long_mm = max((shape[side] - 1) * stored_mm[side] for side in range(3) if side != axis)
        spacing_mm = [long_mm / (section.longest_side - 1) or min(stored_mm)] * 2
    elif section.spacing_mm is not None:
        spacing_mm = list(section.spacing_mm)
    else:
        return tuple(stored_mm)
    if len(spacing_mm) < len(PLANES):
        spacing_mm.insert(axis, stored_mm[axis])
    return tuple(spacing_mm)


def kept_spacing(
    section: PreprocessingSection, axis: int, spacing_mm: Sequence[float]
) -> tuple[float, ...]:
    """Spacing of a RAS volume along the axes that ``preprocessing.spacing_mm`` has.

    Args:
        section: with the plane.
        axis: along which the volume is sliced; left out unless all planes are cut.
        spacing_mm: along each axis.
    """
    if section.plane == "all":
        return tuple(spacing_mm)
    return tuple(step for other, step in enumerate(spacing_mm) if other != axis)


def voxels_after_resampling(scan: Volume, section: PreprocessingSection) -> float:
    """Number of voxels of a scan on the grid of the preprocessing, before it is cropped."""
    upright = scan.reoriented("RAS")
    axis = slice_axis(scan, section)
    spacing_mm = spacing_of(section, axis, upright.shape, upright.spacing_mm)
    extents_mm = (n * mm for n, mm in zip(upright.shape, upright.spacing_mm, strict=True))
    sizes = (max(1.0, mm / new) for mm, new in zip(extents_mm, spacing_mm, strict=True))
    return math.prod(sizes)


def _require_depth(upright: Volume) -> None:
    """Require more than a single slice."""
    if min(upright.shape) == 1:
        raise GeometryError(
            upright.name,
            expected="more than a single slice, because preprocessing.plane is all",
            found=f"shape {upright.shape}",
            remedy="set preprocessing.plane to thickest, or exclude single slices",
        )
