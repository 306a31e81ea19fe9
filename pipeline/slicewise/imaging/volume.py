"""``Volume``: voxels with the affine that places them in the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError

Affine = NDArray[np.float64]
SAME_GRID_VOXELS = 0.01
"""Grids are equal if corresponding corners are at most this far apart."""


@dataclass(frozen=True)
class Volume:
    """A scan or a mask on its grid.

    Attributes:
        voxels: shape (X, Y, Z), indexed (i, j, k).
        affine: (4, 4), voxel indices to RAS+ millimetres.
        name: for messages and results; never identifies a patient.
        header: NIfTI header; None for other formats.
        warnings: from reading.
        acquisition: facts of the header under their BIDS names, and ``Contrast``, a word such as
            ``t1``; empty where there is none.
        spacing_is_known: false for pictures and for radiographs without a spacing, whose pixels
            count as 1 mm wide: sizes are then given in pixels.
    """

    voxels: NDArray[Any]
    affine: Affine
    name: str = "volume"
    header: nib.nifti1.Nifti1Header | None = None
    warnings: tuple[str, ...] = field(default=())
    acquisition: Mapping[str, object] = field(default_factory=dict)
    spacing_is_known: bool = True

    def __post_init__(self) -> None:
        assert self.voxels.ndim == 3, self.voxels.shape
        assert self.affine.shape == (4, 4), self.affine.shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        i, j, k = self.voxels.shape
        return i, j, k

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    @property
    def thickest_axis(self) -> int:
        """Axis normal to the slices: that with the largest spacing, the last of equal ones.

        Spacings are rounded for comparison. If there are axes with a single voxel, only these are
        considered.
        """
        single = np.array(self.shape) == 1
        candidates = single if single.any() else np.ones(3, dtype=np.bool_)
        return 2 - int(np.argmax(np.where(candidates, np.round(self.spacing_mm, 3), -1)[::-1]))

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1000)

    @property
    def voxel_size(self) -> float:
        """Volume of a voxel in millilitres, or 1 pixel if the spacing is unknown."""
        return self.voxel_volume_ml if self.spacing_is_known else 1.0

    @property
    def orientation(self) -> str:
        """Nearest anatomical direction of each axis, such as ``RAS`` or ``LPS``."""
        return "".join(nib.orientations.aff2axcodes(self.affine))

    def with_voxels(self, voxels: NDArray[Any]) -> Volume:
        """A plain ``Volume`` with other voxels on the same grid."""
        if voxels.shape != self.shape:
            raise GeometryError(
                self.name,
                expected=f"voxels of shape {self.shape}",
                found=f"shape {voxels.shape}",
                remedy="resample them onto this grid first",
            )
        return self._with(voxels, self.affine)

    def reoriented(self, axis_codes: str) -> Volume:
        """The same volume with axes flipped and permuted to ``axis_codes``, such as ``RAS``."""
        start = nib.orientations.io_orientation(self.affine)
        end = nib.orientations.axcodes2ornt(tuple(axis_codes))
        change = nib.orientations.ornt_transform(start, end)
        voxels = nib.orientations.apply_orientation(self.voxels, change)
        affine = self.affine @ nib.orientations.inv_ornt_aff(change, self.shape)
        return self._with(voxels, affine)

    def _with(self, voxels: NDArray[Any], affine: Affine) -> Volume:
        return Volume(
            voxels,
            affine,
            self.name,
            self.header,
            self.warnings,
            self.acquisition,
            self.spacing_is_known,
        )

    def world_position_mm(self, index: NDArray[Any]) -> NDArray[np.float64]:
        """Positions of voxel indices in RAS+ millimetres, shapes (..., 3) to (..., 3)."""
        return np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def voxel_index(self, positions_mm: NDArray[Any]) -> NDArray[np.float64]:
        """Voxel indices, with fractions, of positions in RAS+ millimetres, (..., 3) to (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        indices: NDArray[np.float64] = np.asarray(positions_mm) @ inverse[:3, :3].T
        return indices + inverse[:3, 3]

    def grid_difference_voxels(self, other: Volume) -> float:
        """Maximum distance between corresponding corners, in units of the smallest spacing.

        Infinite if the shapes differ.
        """
        if self.shape != other.shape:
            return float("inf")
        corners = np.array(np.meshgrid(*[(0, size - 1) for size in self.shape])).reshape(3, -1).T
        difference = self.world_position_mm(corners) - other.world_position_mm(corners)
        return float(np.linalg.norm(difference, axis=1).max() / min(self.spacing_mm))


def require_same_grid(
    volume: Volume,
    other: Volume,
    tolerance_voxels: float = SAME_GRID_VOXELS,
    remedy: str = "resample one onto the grid of the other, or correct its header",
) -> None:
    """Require that two volumes have the same grid.

    Args:
        volume: with the expected grid.
        other: to be checked.
        tolerance_voxels: maximum distance of corresponding corners.
        remedy: for the error message.

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
    """Difference of two grids, for messages."""
    if volume.shape != other.shape:
        return f"shape {other.shape}"
    return f"corners {volume.grid_difference_voxels(other):.3g} voxels apart"
