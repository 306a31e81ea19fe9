"""Tables of the Dice of every threshold that is tried on a training case, from counts alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicewise.evaluation.baseline.intensity import Grouping, classes_of, groupings
from slicewise.evaluation.baseline.prior import ALIGNMENTS, Alignment, Prior
from slicewise.evaluation.baseline.recipe import Threshold
from slicewise.evaluation.baseline.scans import Mask, NormalizedScan

LEVELS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9)
"""Thresholds of the prior that are tried."""


@dataclass(frozen=True)
class Setting:
    """What a table of thresholds shares."""

    alignment: Alignment
    grouping: Grouping

    def threshold(self, place: int) -> Threshold:
        """The threshold at a place of the flattened table."""
        ranges = class_ranges(self.grouping.count)
        shape = (len(ranges), len(LEVELS), len(LEVELS) + 1)
        which, low, high = np.unravel_index(place, shape)
        first, last = ranges[int(which)]
        above = None if high == 0 else LEVELS[int(high) - 1]
        return Threshold(self.alignment, self.grouping, first, last, LEVELS[int(low)], above)


def settings(contrast_count: int) -> tuple[Setting, ...]:
    """Every alignment with every grouping."""
    return tuple(
        Setting(alignment, grouping)
        for alignment in ALIGNMENTS
        for grouping in groupings(contrast_count)
    )


def class_ranges(count: int) -> list[tuple[int, int]]:
    """First and last of neighbouring classes; all of them, which ask for nothing, come first."""
    ranges = [(first, last) for first in range(count) for last in range(first, count)]
    return sorted(ranges, key=lambda ends: ends != (0, count - 1))


def tabulate(scan: NormalizedScan, structures: Mask, prior: Prior) -> Iterator[NDArray[np.float32]]:
    """Dice of every threshold of each setting, (K, thresholds), in the order of ``settings``.

    Undefined (NaN) where structure and prediction are both empty.
    """
    for alignment in ALIGNMENTS:
        frequencies = prior.on(scan, alignment)
        levels = np.digitize(frequencies, LEVELS) - 1  # (K, X, Y, Z)
        for grouping in groupings(len(scan.contrasts)):
            classes = classes_of(scan, grouping, frequencies)
            yield np.stack(
                [
                    _dice(_counts(classes, level, truth, grouping.count))
                    for level, truth in zip(levels, structures, strict=True)
                ]
            )


def _counts(
    classes: NDArray[np.uint8], levels: NDArray[np.intp], truth: Mask, count: int
) -> NDArray[np.float64]:
    """Voxels by truth, class and level of the prior, (2, count, levels)."""
    place = (truth.astype(np.intp) * count + classes) * len(LEVELS) + levels
    counts = np.bincount(place.ravel(), minlength=2 * count * len(LEVELS))
    return counts.reshape(2, count, len(LEVELS)).astype(np.float64)


def _dice(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Dice of every range of classes, low and high threshold, flattened.

    Within the range voxels count from the low threshold on, in other classes from the high one on;
    a high threshold that is not above the low one would undo the range and is undefined.
    """
    above = counts[..., ::-1].cumsum(axis=-1)[..., ::-1]  # (2, classes, low)
    everything = above.sum(axis=1)  # (2, low)
    ranges = class_ranges(counts.shape[1])
    inside = np.stack([above[:, a : b + 1].sum(axis=1) for a, b in ranges], axis=1)
    beyond = everything[:, None] - inside  # (2, ranges, high)
    never = np.zeros((*beyond.shape[:2], 1))
    beyond = np.concatenate([never, beyond], axis=-1)
    taken = inside[..., None] + beyond[:, :, None]  # (2, ranges, low, high)
    total = taken.sum(axis=0) + everything[1, 0]
    with np.errstate(invalid="ignore"):
        dice = 2 * taken[1] / total
    low, high = np.indices((len(LEVELS), len(LEVELS) + 1))
    dice[:, (high > 0) & (high - 1 <= low)] = np.nan
    return np.asarray(dice, dtype=np.float32).ravel()
