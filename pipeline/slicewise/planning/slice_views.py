"""The slices of each case on the planned grid: number, size and extent in pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.config import PreprocessingSection
from slicewise.dataset.plane import slice_axis, spacing_of, view_axes
from slicewise.imaging.volume import Volume
from slicewise.planning.fingerprint import CaseFingerprint
from slicewise.segmentation.sliding_window import windows_per_slice


@dataclass(frozen=True)
class View:
    """The slices of one case along one axis.

    Attributes:
        case: name of the case.
        count: number of slices.
        size: height and width in pixels.
        pixel_mm: height and width of a pixel.
        thickness_mm: distance between slices.
        extent: height and width of the bounding box around all structures, in pixels.
    """

    case: str
    count: int
    size: tuple[int, int]
    pixel_mm: tuple[float, float]
    thickness_mm: float
    extent: tuple[float, float]

    @property
    def thickness(self) -> float:
        """Distance between slices, in units of the finer side of a pixel."""
        return self.thickness_mm / min(self.pixel_mm)

    def windows(self, window: Sequence[int], overlap: float) -> int:
        """Number of overlapping windows that cover all slices."""
        return self.count * windows_per_slice(self.size, window, overlap)


def views_of(cases: Iterable[CaseFingerprint], section: PreprocessingSection) -> list[View]:
    """Every view of every case.

    Args:
        cases: measured.
        section: with plane and spacing.

    Raises:
        GeometryError: a single slice that lies in another plane.
    """
    return [view for case in cases for view in _views(case, section)]


def slicing_axis(case: CaseFingerprint, plane: str) -> int:
    """Axis along which the slices of a case are cut, or stored if all planes are cut."""
    grid = Volume(
        np.broadcast_to(np.uint8(0), case.shape), np.diag([*case.spacing_mm, 1.0]), case.name
    )
    return slice_axis(grid, PreprocessingSection.model_validate({"plane": plane}))


def _views(case: CaseFingerprint, section: PreprocessingSection) -> Iterable[View]:
    stored = slicing_axis(case, section.plane)
    spacing_mm = spacing_of(section, stored, case.shape, case.spacing_mm)
    lengths = [size * step for size, step in zip(case.shape, case.spacing_mm, strict=True)]
    shape = [max(1, round(mm / step)) for mm, step in zip(lengths, spacing_mm, strict=True)]
    extent = [mm / step for mm, step in zip(case.extent_mm, spacing_mm, strict=True)]
    for axis in view_axes(section, stored):
        rows, columns = (other for other in range(3) if other != axis)
        yield View(
            case.name,
            shape[axis],
            (shape[rows], shape[columns]),
            (spacing_mm[rows], spacing_mm[columns]),
            spacing_mm[axis],
            (extent[rows], extent[columns]),
        )


def planned_voxels(views: Sequence[View], plane: str) -> int:
    """Voxels of all cases on the planned grid; all planes of a case share their voxels."""
    voxels = sum(view.count * view.size[0] * view.size[1] for view in views)
    return voxels // 3 if plane == "all" else voxels
