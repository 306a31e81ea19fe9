"""Calibration: reliability bins and expected calibration error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slicewise.imaging.volume import Volume

BINS = 15
LEAST_PROBABILITY = 0.01
"""Voxels below it are excluded, because background makes every model look well calibrated.

The reference must not decide about this: if false negatives were kept, but not the background
around them, a perfectly calibrated model would appear to be miscalibrated.
"""


@dataclass(frozen=True)
class Reliability:
    """Voxels in ``BINS`` equal ranges of probability.

    Attributes:
        voxels: number in each range.
        probability: sum of their probabilities.
        positives: number of them in the structure.
    """

    voxels: tuple[int, ...]
    probability: tuple[float, ...]
    positives: tuple[int, ...]

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            tuple(a + b for a, b in zip(self.voxels, other.voxels, strict=True)),
            tuple(a + b for a, b in zip(self.probability, other.probability, strict=True)),
            tuple(a + b for a, b in zip(self.positives, other.positives, strict=True)),
        )

    @property
    def expected_calibration_error(self) -> float:
        """Expected calibration error, in [0, 1]; NaN without any voxel.

        Source:
            Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
        """
        total = sum(self.voxels)
        if not total:
            return math.nan
        gaps = (abs(p - q) for p, q in zip(self.probability, self.positives, strict=True))
        return sum(gaps) / total


def reliability(probability: Volume, truth: Volume) -> Reliability:
    """Count the voxels of one structure by their probability.

    Args:
        probability: in [0, 1], shape (X, Y, Z).
        truth: whether a voxel belongs to the structure, on the same grid.
    """
    counted = probability.voxels >= LEAST_PROBABILITY
    values = probability.voxels[counted].astype(np.float64)
    positive = truth.voxels[counted].astype(bool)
    places = np.minimum((values * BINS).astype(int), BINS - 1)
    return Reliability(
        tuple(np.bincount(places, minlength=BINS).tolist()),
        tuple(np.bincount(places, weights=values, minlength=BINS).tolist()),
        tuple(np.bincount(places, weights=positive, minlength=BINS).astype(int).tolist()),
    )
