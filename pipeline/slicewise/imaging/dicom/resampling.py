"""Slices at uneven or tilted places in, slices on an upright regular grid out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NO_SHIFT_PIXELS = 1e-5
"""Shifts below it are rounding; undoing them would only blank the outermost pixels."""


@dataclass(frozen=True)
class Resampling:
    """Where the slices lie, seen from the grid that they are brought onto.

    Attributes:
        along: place of each slice along the third axis of the grid, in steps of the grid;
            ascending from 0.
        columns: how many columns each slice is shifted to higher column indices.
        rows: how many rows each slice is shifted to higher row indices.
    """

    along: tuple[float, ...]
    columns: tuple[float, ...]
    rows: tuple[float, ...]

    @property
    def count(self) -> int:
        """Slices of the grid: none lies beyond the last measured one."""
        return int(np.floor(self.along[-1] + 1e-6)) + 1


def resampled(slices: NDArray[np.float32], places: Resampling) -> NDArray[np.float32]:
    """Linear interpolation, within the plane to undo a shift, then between neighbour slices.

    What lies outside of a shifted slice takes the smallest value of the stack.

    Args:
        slices: as they were measured, shape (columns, rows, slices).
        places: of those slices.

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
