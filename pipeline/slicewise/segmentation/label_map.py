"""Turns probabilities into a label map: argmax, with structures that never share a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from slicewise.config import SliceExclusiveSection
from slicewise.dataset.plane import stored_axis
from slicewise.imaging.volume import Volume
from slicewise.segmentation.probability_maps import ProbabilityMaps


def label_map(
    probabilities: ProbabilityMaps,
    labels: Mapping[str, int],
    slice_exclusive: Sequence[SliceExclusiveSection],
) -> Volume:
    """The most probable structure of each voxel.

    Of slice-exclusive structures a slice holds one: all its voxels of any of them get the one with
    the largest sum of probabilities over these voxels. The rules are applied one after another, so
    that a later one may change what an earlier one has set.

    Args:
        probabilities: background, then each structure.
        labels: structure to its value, in the order of the probabilities.
        slice_exclusive: structures of which a slice holds one.

    Returns:
        Label values on the grid of the probabilities, in the smallest type that holds them.
    """
    grid = probabilities.grid
    channels = np.empty(grid.shape, np.min_scalar_type(len(labels)))
    for rows, slab in probabilities.slabs():
        channels[rows] = slab.argmax(0)
    names = list(labels)
    for rule in slice_exclusive:
        exclusive = np.array([1 + names.index(name) for name in rule.structures])  # (S,)
        _share_no_slice(channels, probabilities, exclusive, stored_axis(grid, rule.plane))
    values = np.array([0, *labels.values()])
    return grid.with_voxels(values.astype(np.min_scalar_type(values.max()))[channels])


def _share_no_slice(
    channels: NDArray[np.integer],
    probabilities: ProbabilityMaps,
    exclusive: NDArray[np.integer],
    axis: int,
) -> None:
    """Give each slice along an axis one of the exclusive channels, in place."""
    sums = np.zeros((len(exclusive), channels.shape[axis]))  # (S, slices)
    for rows, values in probabilities.slabs():
        inside = np.isin(channels[rows], exclusive)
        others = tuple(other for other in range(3) if other != axis)
        slices = rows if axis == 0 else slice(None)
        sums[:, slices] += [(values[item] * inside).sum(others) for item in exclusive]
    winners = exclusive[sums.argmax(0)]  # (slices,)
    for number, winner in enumerate(winners):
        in_slice = channels[(slice(None),) * axis + (number,)]
        in_slice[np.isin(in_slice, exclusive)] = winner
