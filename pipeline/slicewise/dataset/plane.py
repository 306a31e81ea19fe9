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
    section: PreprocessingSection, axis: int, kept_mm: Sequence[float]
) -> tuple[float, ...]:
    """Spacing of a RAS volume after preprocessing.

    Args:
        section: with the spacing, in the plane or of all axes.
        axis: along which the volume is sliced.
        kept_mm: spacing of axes that are not resampled.
    """
    if section.spacing_mm is None:
        return tuple(kept_mm)
    spacing_mm = list(section.spacing_mm)
    if len(spacing_mm) < len(PLANES):
        spacing_mm.insert(axis, kept_mm[axis])
    return tuple(spacing_mm)


def voxels_after_resampling(scan: Volume, section: PreprocessingSection) -> float:
    """Number of voxels of a scan on the grid of the preprocessing, before it is cropped."""
    upright = scan.reoriented("RAS")
    spacing_mm = spacing_of(section, slice_axis(scan, section), upright.spacing_mm)
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
