"""Two masks of a structure of several pieces in, how many of the pieces were found out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from slicewise.metrics.masks import MaskPair


@dataclass(frozen=True)
class ComponentCounts:
    """Pieces of one structure, such as lesions.

    Attributes:
        reference: pieces of the reference.
        found: of these, those that the prediction touches.
        predicted: pieces of the prediction.
        invented: of these, those that touch nothing of the reference.
    """

    reference: int
    found: int
    predicted: int
    invented: int

    @property
    def sensitivity(self) -> float:
        """Share of the pieces of the reference that were found; NaN without any."""
        return self.found / self.reference if self.reference else math.nan

    @property
    def precision(self) -> float:
        """Share of the predicted pieces that are none of the invented; NaN without any."""
        return 1 - self.invented / self.predicted if self.predicted else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where either side has no piece, NaN where neither has."""
        if not self.reference or not self.predicted:
            return 0.0 if self.reference or self.predicted else math.nan
        total = self.sensitivity + self.precision
        return 2 * self.sensitivity * self.precision / total if total else 0.0


def component_counts(pair: MaskPair) -> ComponentCounts:
    """Count the pieces of two masks of one grid.

    Voxels belong to one piece when they share a face, an edge or a corner (26 neighbours, 8 in a
    picture). A single common voxel counts as touching.
    """
    ours, theirs = pair.predicted.voxels, pair.reference.voxels
    predicted, right = _connected_components(ours, theirs)
    reference, found = _connected_components(theirs, ours)
    return ComponentCounts(reference, found, predicted, predicted - right)


def _connected_components(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[int, int]:
    """Pieces of a mask, and how many of them another mask touches."""
    pieces, count = label(mask, generate_binary_structure(rank=3, connectivity=3))
    return int(count), len(np.unique(pieces[mask & other]))
