"""Calibration: whether a probability of 0.8 is right in 80 of 100 voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slicewise.imaging.volume import Volume

BINS = 15
LEAST_PROBABILITY = 0.01
"""Voxels below it are left out: air around a head would make every model look well calibrated.

The truth has no say in this. Were missed voxels kept, and the background around them not, then a
perfectly calibrated model would seem to be none.
"""


@dataclass(frozen=True)
class Reliability:
    """Voxels in ``BINS`` equal ranges of probability.

    Attributes:
        voxels: in each range.
        probability: sum of their probabilities.
        positives: how many of them belong to the structure.
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
