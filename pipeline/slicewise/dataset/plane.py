"""A scan's grid and the configured plane in, the axes that its slices are cut along out."""

from __future__ import annotations

from collections.abc import Sequence

from slicewise.config import PreprocessingSection
from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume

PLANES = ("sagittal", "coronal", "axial")
"""Planes across the axes of a RAS volume, in their order."""
_DIRECTIONS = ("LR", "PA", "IS")
"""In which the slices of these planes follow one another."""


def slice_axis(grid: Volume, section: PreprocessingSection) -> int:
    """Axis of the RAS volume that slices are cut along: 0 sagittal, 1 coronal, 2 axial.

    Where all planes are configured it is the one that slices are stored along.

    Raises:
        GeometryError: a single slice, which the configured plane would cut into lines.
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
            remedy="set preprocessing.plane=thickest, or leave single slices of other planes out",
        )
    return axis


def stored_axis(grid: Volume, plane: str) -> int:
    """Axis of the voxels as they are stored that a plane lies across; the nearest, if oblique."""
    directions = _DIRECTIONS[PLANES.index(plane)]
    return next(axis for axis, code in enumerate(grid.orientation) if code in directions)


def view_axes(section: PreprocessingSection, axis: int) -> tuple[int, ...]:
    """Axes of the RAS volume that a network sees slices along.

    Args:
        section: names the plane.
        axis: that slices are stored along, see ``slice_axis``.
    """
    return (0, 1, 2) if section.plane == "all" else (axis,)


def stack_axes(section: PreprocessingSection) -> tuple[int, ...]:
    """Axes of stored slices (D, H, W) that a network sees slices along; see ``view_axes``."""
    return (0, 1, 2) if section.plane == "all" else (0,)


def known_axes(section: PreprocessingSection) -> tuple[int, ...] | None:
    """Axes of the RAS volume that belong to ``stack_axes``; None where each scan has its own."""
    if section.plane == "thickest":
        return None
    return (0, 1, 2) if section.plane == "all" else (PLANES.index(section.plane),)


def spacing_of(
    section: PreprocessingSection, axis: int, kept_mm: Sequence[float]
) -> tuple[float, ...]:
    """Spacing that the preprocessing leaves of a RAS volume.

    Args:
        section: names the wanted spacing, in the plane or of all axes.
        axis: that slices are cut along.
        kept_mm: what stays where no spacing is wanted.
    """
    if section.spacing_mm is None:
        return tuple(kept_mm)
    spacing_mm = list(section.spacing_mm)
    if len(spacing_mm) < len(PLANES):
        spacing_mm.insert(axis, kept_mm[axis])
    return tuple(spacing_mm)


def _require_depth(upright: Volume) -> None:
    """Refuse a scan of one slice, which has one plane only."""
    if min(upright.shape) == 1:
        raise GeometryError(
            upright.name,
            expected="more than a single slice, because preprocessing.plane is all",
            found=f"shape {upright.shape}",
            remedy="set preprocessing.plane=thickest, or leave single slices out",
        )
