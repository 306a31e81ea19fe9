"""A scan's grid and the configured plane in, the axis that its slices are cut along out."""

from __future__ import annotations

from pipeline.config import PreprocessingSection
from pipeline.errors import GeometryError
from pipeline.imaging.volume import Volume

PLANES = ("sagittal", "coronal", "axial")
"""Planes across the axes of a RAS volume, in their order."""


def slice_axis(grid: Volume, section: PreprocessingSection) -> int:
    """Axis of the RAS volume that slices are cut along: 0 sagittal, 1 coronal, 2 axial.

    Raises:
        GeometryError: a single slice, which the configured plane would cut into lines.
    """
    upright = grid.reoriented("RAS")
    if section.plane == "thickest":
        return upright.thickest_axis
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
