"""Overlap of two masks: Dice, IoU, sensitivity and precision, with one policy for empty masks.

A structure that the reference has and the prediction misses wholly scores 0, and so does one that
only the prediction has. Where both are empty the score is undefined (NaN) and must be counted, not
averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Voxels of one structure in two masks.

    Attributes:
        predicted: voxels of the prediction.
        reference: voxels of the reference.
        common: voxels that both have.
    """

    predicted: int
    reference: int
    common: int

    @property
    def dice(self) -> float:
        """Dice: twice the intersection over the sum of both; NaN if both are empty.

        Source:
            Dice, Ecology 1945;26(3):297-302.
        """
        total = self.predicted + self.reference
        return 2 * self.common / total if total else math.nan

    @property
    def iou(self) -> float:
        """Intersection over union; NaN if both are empty."""
        union = self.predicted + self.reference - self.common
        return self.common / union if union else math.nan

    @property
    def sensitivity(self) -> float:
        """Fraction of the reference that was predicted; NaN without a reference."""
        return self.common / self.reference if self.reference else math.nan

    @property
    def precision(self) -> float:
        """Fraction of the prediction that is correct; NaN without a prediction."""
        return self.common / self.predicted if self.predicted else math.nan


def overlap(predicted: NDArray[Any], reference: NDArray[Any], value: int = 1) -> Overlap:
    """Count the voxels of one label value in two label maps, or masks, of one shape."""
    ours, theirs = predicted == value, reference == value
    return Overlap(
        int(np.count_nonzero(ours)),
        int(np.count_nonzero(theirs)),
        int(np.count_nonzero(ours & theirs)),
    )
