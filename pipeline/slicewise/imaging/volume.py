"""A ``Volume``: voxels that never travel without the affine that places them in the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError

Affine = NDArray[np.float64]
SAME_GRID_VOXELS = 0.01
"""Grids whose corners are no further apart are taken for one."""


@dataclass(frozen=True)
class Volume:
    """A scan or a mask on its grid.

    Attributes:
        voxels: shape (X, Y, Z), indexed (i, j, k).
        affine: (4, 4), voxel indices to RAS+ millimetres.
        name: how messages and results call it; never a patient's identity.
        header: the NIfTI header it was read with, or None when it came from DICOM.
        warnings: what was repaired or noticed on the way in.
    """

    voxels: NDArray[Any]
    affine: Affine
    name: str = "volume"
    header: nib.nifti1.Nifti1Header | None = None
    warnings: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        assert self.voxels.ndim == 3, self.voxels.shape
        assert self.affine.shape == (4, 4), self.affine.shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        i, j, k = self.voxels.shape
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def thickest_axis(self) -> int:
        """Axis across the slices: that of the largest spacing, of equal ones the last.

        Spacings are compared within a rounding. A single slice is thin in its own direction,
        however its spacing compares: where an axis has one voxel only, others are out of question.
        """
        single = np.array(self.shape) == 1
        asked = single if single.any() else np.ones(3, dtype=np.bool_)
        return 2 - int(np.argmax(np.where(asked, np.round(self.spacing_mm, 3), -1)[::-1]))

    @property
    def voxel_volume_ml(self) -> float:
        """Millilitres that one voxel fills."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)

    @property
    def orientation(self) -> str:
        """Nearest anatomical direction of each axis, such as ``RAS`` or ``LPS``."""
        return "".join(nib.orientations.aff2axcodes(self.affine))

    def with_voxels(self, voxels: NDArray[Any]) -> Volume:
        """Other voxels on the same grid; always a plain ``Volume``."""
        if voxels.shape != self.shape:
            raise GeometryError(
                self.name,
                expected=f"voxels of shape {self.shape}",
                found=f"shape {voxels.shape}",
                remedy="resample onto this grid first",
            )
        return Volume(voxels, self.affine, self.name, self.header, self.warnings)

    def reoriented(self, axis_codes: str) -> Volume:
        """The same voxels in the same places, with axes flipped and swapped to ``axis_codes``."""
        start = nib.orientations.io_orientation(self.affine)
        end = nib.orientations.axcodes2ornt(tuple(axis_codes))
        change = nib.orientations.ornt_transform(start, end)
        voxels = nib.orientations.apply_orientation(self.voxels, change)
        affine = self.affine @ nib.orientations.inv_ornt_aff(change, self.shape)
        return Volume(voxels, affine, self.name, self.header, self.warnings)

    def world_position_mm(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """RAS+ millimetres of voxel indices, shapes (..., 3) to (..., 3)."""
        return np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def grid_difference_voxels(self, other: Volume) -> float:
        """Largest distance between corresponding voxel corners, in this volume's smallest voxel.

        Infinite when the shapes differ.
        """
        if self.shape != other.shape:
            return float("inf")
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape])).reshape(3, -1).T
        apart = self.world_position_mm(corners) - other.world_position_mm(corners)
        return float(np.linalg.norm(apart, axis=1).max() / min(self.spacing_mm))


def require_same_grid(
    volume: Volume,
    other: Volume,
    tolerance_voxels: float = SAME_GRID_VOXELS,
    remedy: str = "resample one onto the grid of the other, or correct its header",
) -> None:
    """Refuse two volumes whose voxels do not lie in the same places.

    Args:
        volume: with the grid that is expected.
        other: that should lie on it.
        tolerance_voxels: largest distance of corresponding corners that is still the same place.
        remedy: what the user can do about it.

    Raises:
        GeometryError: shapes differ, or corners are further apart than the tolerance.
    """
    if volume.grid_difference_voxels(other) <= tolerance_voxels:
        return
    raise GeometryError(
        other.name,
        expected=f"the grid of {volume.name}: shape {volume.shape}, "
        f"corners within {tolerance_voxels} voxel",
        found=grid_difference(volume, other),
        remedy=remedy,
    )


def grid_difference(volume: Volume, other: Volume) -> str:
    """In what two grids differ, for messages."""
    if volume.shape != other.shape:
        return f"shape {other.shape}"
    return f"corners {volume.grid_difference_voxels(other):.3g} voxels apart"
