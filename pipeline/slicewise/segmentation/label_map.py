"""Probabilities in, a label map out: the likeliest structures, divided as the labels are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slicewise.config import SliceExclusiveSection
from slicewise.dataset.plane import stored_axis
from slicewise.imaging.volume import Volume


def label_map(
    grid: Volume,
    probabilities: NDArray[np.floating],
    labels: Mapping[str, int],
    slice_exclusive: Sequence[SliceExclusiveSection],
) -> Volume:
    """The structure that each voxel belongs to.

    Where a protocol divides structures at a slice, the voxels of a slice that belong to any of them
    go to the one that has the largest sum of probability in these voxels. Divisions follow one
    another: what one has moved, the next may move again.

    Args:
        grid: of the scan.
        probabilities: background, then each structure, shape (K, X, Y, Z).
        labels: structure to its value, in the order of the probabilities.
        slice_exclusive: structures of which a slice holds one.

    Returns:
        Label values on the grid, in the smallest type that holds them.
    """
    channels = probabilities.argmax(0)  # (X, Y, Z)
    names = list(labels)
    for division in slice_exclusive:
        divided = np.array([1 + names.index(name) for name in division.structures])  # (S,)
        axis = stored_axis(grid, division.plane)
        inside = np.isin(channels, divided)
        in_slice = tuple(other for other in range(3) if other != axis)
        sums = np.stack([(probabilities[item] * inside).sum(in_slice) for item in divided])
        winners = divided[sums.argmax(0)]  # (slices,)
        along = np.expand_dims(winners, in_slice)  # (1, slices, 1) where axis is 1
        channels = np.where(inside, along, channels)
    values = np.array([0, *labels.values()])
    return grid.with_voxels(values[channels].astype(np.min_scalar_type(values.max())))
