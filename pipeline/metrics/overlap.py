"""Two label maps in, Dice and IoU of each structure out, with one policy for empty masks.

A structure that the reference has and the prediction misses wholly scores 0, and so does one that
the prediction invents. Where both are empty the score is undefined (NaN) and must be counted, not
averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.imaging.labels import whole_numbers
from pipeline.imaging.volume import Volume, require_same_grid


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
        """Twice the common voxels over the sum of both; NaN when both are empty.

        Source:
            Dice, Ecology 1945;26(3):297-302.
        """
        total = self.predicted + self.reference
        return 2 * self.common / total if total else float("nan")

    @property
    def iou(self) -> float:
        """Common voxels over the union; NaN when both are empty."""
        union = self.predicted + self.reference - self.common
        return self.common / union if union else float("nan")


def overlap(predicted: NDArray[Any], reference: NDArray[Any], value: int) -> Overlap:
    """Count the voxels of one label value in two label maps of one shape."""
    ours, theirs = predicted == value, reference == value
    return Overlap(
        int(np.count_nonzero(ours)),
        int(np.count_nonzero(theirs)),
        int(np.count_nonzero(ours & theirs)),
    )


def overlaps(predicted: Volume, reference: Volume, labels: Mapping[str, int]) -> dict[str, Overlap]:
    """Overlap of each named structure on the native grid.

    Args:
        predicted: label map, shape (X, Y, Z).
        reference: label map on the same grid, axes in any order.
        labels: structure name to its value in both.

    Raises:
        GeometryError: the two lie on different grids.
        LabelError: one of them holds more than whole numbers.
    """
    predicted, reference = _whole_numbers(predicted), _whole_numbers(reference)
    if predicted.orientation != reference.orientation:
        predicted, reference = predicted.reoriented("RAS"), reference.reoriented("RAS")
    require_same_grid(reference, predicted)
    return {
        name: overlap(predicted.voxels, reference.voxels, value) for name, value in labels.items()
    }


def _whole_numbers(label_map: Volume) -> Volume:
    """Labels as integers: a file that scales its voxels says 0.9999 where it means 1."""
    return label_map.with_voxels(whole_numbers(label_map.voxels, label_map.name))
