"""Coordinates as input channels: they tell apart structures that look alike in several places.

Source:
    Liu et al.: An intriguing failing of convolutional neural networks and the CoordConv solution,
    NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Chosen = slice | Sequence[int] | NDArray[np.int64]


def coordinates(
    shape: Sequence[int],
    axis: int,
    depths: Chosen = slice(None),
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> NDArray[np.float32]:
    """Coordinates of the pixels of some slices along each axis of their volume, (D, 3, H, W).

    They rise from -1 at the first voxel to 1 at the last.

    Args:
        shape: of the volume, (X, Y, Z).
        axis: along which it is cut into slices.
        depths: numbers of the slices.
        rows: of the slices, along the first of the other axes.
        columns: along the second.
    """
    chosen: list[Chosen] = [rows, columns]
    chosen.insert(axis, depths)
    ramps = [
        np.linspace(-1, 1, size, dtype=np.float32)[which] if size > 1 else np.zeros(1, np.float32)
        for size, which in zip(shape, chosen, strict=True)
    ]
    along = [np.moveaxis(ramp, axis, 0) for ramp in np.meshgrid(*ramps, indexing="ij", copy=False)]
    return np.stack(along, 1)
