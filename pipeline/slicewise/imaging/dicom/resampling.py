"""Resampling of slices with irregular distances or a gantry tilt onto a regular grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_SHIFT_PIXELS = 1e-5
"""Smaller shifts are rounding errors; correcting them would blank the outermost pixels."""


@dataclass(frozen=True)
class Resampling:
    """Positions of slices relative to the grid that they are resampled onto.

    Attributes:
        along: position of each slice along the third axis of the grid, in voxels; ascending
            from 0.
        columns: shift of each slice towards higher column indices, in pixels.
        rows: shift of each slice towards higher row indices, in pixels.
    """

    along: tuple[float, ...]
    columns: tuple[float, ...]
    rows: tuple[float, ...]

    @property
    def count(self) -> int:
        """Number of slices of the grid, none of which is beyond the last acquired one."""
        return int(np.floor(self.along[-1] + 1e-6)) + 1


def resampled(slices: NDArray[np.float32], places: Resampling) -> NDArray[np.float32]:
    """Interpolate linearly: in the plane to correct shifts, then between adjacent slices.

    Pixels outside of a shifted slice get the minimum of the stack.

    Args:
        slices: as acquired, shape (columns, rows, slices).
        places: positions of these slices.

    Returns:
        Shape (columns, rows, ``places.count``).
    """
    from scipy.ndimage import shift

    outside = float(slices.min())
    shifts = np.column_stack([places.columns, places.rows])  # (slices, 2)
    shifts[np.abs(shifts) < NO_SHIFT_PIXELS] = 0
    upright = np.stack(
        [
            shift(slices[:, :, number], by, order=1, mode="constant", cval=outside)
            for number, by in enumerate(shifts)
        ],
        axis=2,
    )
    grid = np.arange(places.count)
    upper = np.clip(np.searchsorted(places.along, grid, side="left"), 1, len(places.along) - 1)
    along = np.array(places.along)
    weight = (grid - along[upper - 1]) / (along[upper] - along[upper - 1])  # (count,)
    weight = np.clip(weight, 0, 1).astype(np.float32)
    blended: NDArray[np.float32] = (
        upright[:, :, upper - 1] * (1 - weight) + upright[:, :, upper] * weight
    )
    return blended
