"""Turns probabilities into a label map: argmax, with structures that never share a slice."""

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
    """The most probable structure of each voxel.

    Of slice-exclusive structures a slice holds one: all its voxels of any of them get the one with
    the largest sum of probabilities over these voxels. The rules are applied one after another, so
    that a later one may change what an earlier one has set.

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
    for rule in slice_exclusive:
        exclusive = np.array([1 + names.index(name) for name in rule.structures])  # (S,)
        axis = stored_axis(grid, rule.plane)
        inside = np.isin(channels, exclusive)
        in_slice = tuple(other for other in range(3) if other != axis)
        sums = np.stack([(probabilities[item] * inside).sum(in_slice) for item in exclusive])
        winners = exclusive[sums.argmax(0)]  # (slices,)
        along = np.expand_dims(winners, in_slice)  # (1, slices, 1) where axis is 1
        channels = np.where(inside, along, channels)
    values = np.array([0, *labels.values()])
    return grid.with_voxels(values[channels].astype(np.min_scalar_type(values.max())))
