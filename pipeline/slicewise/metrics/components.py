"""Detection of connected components, such as lesions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import generate_binary_structure, label

from slicewise.metrics.masks import MaskPair


@dataclass(frozen=True)
class ComponentCounts:
    """Connected components of one structure, such as lesions.

    Attributes:
        reference: components of the reference.
        found: number of these that overlap the prediction.
        predicted: components of the prediction.
        false_positive: number of these that do not overlap the reference.
    """

    reference: int
    found: int
    predicted: int
    false_positive: int

    @property
    def sensitivity(self) -> float:
        """Fraction of the reference components that were detected; NaN without any."""
        return self.found / self.reference if self.reference else math.nan

    @property
    def precision(self) -> float:
        """Fraction of the predicted components that overlap the reference; NaN without any."""
        return 1 - self.false_positive / self.predicted if self.predicted else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 if either mask is empty, NaN if both are."""
        if not self.reference or not self.predicted:
            return 0.0 if self.reference or self.predicted else math.nan
        total = self.sensitivity + self.precision
        return 2 * self.sensitivity * self.precision / total if total else 0.0


def component_counts(pair: MaskPair) -> ComponentCounts:
    """Count the connected components of two masks on the same grid.

    Voxels are connected if they share a face, an edge or a corner (26 neighbours, 8 in a picture).
    A single common voxel counts as overlap.
    """
    ours, theirs = pair.predicted.voxels, pair.reference.voxels
    predicted, right = _connected_components(ours, theirs)
    reference, found = _connected_components(theirs, ours)
    return ComponentCounts(reference, found, predicted, predicted - right)


def false_positive_components(pair: MaskPair) -> tuple[int, float]:
    """Number and total volume in ml of the predicted components that do not touch the reference."""
    ours, theirs = pair.predicted.voxels, pair.reference.voxels
    components, count = label(ours, generate_binary_structure(rank=3, connectivity=3))
    sizes = np.bincount(components.ravel(), minlength=count + 1)
    touching = np.unique(components[ours & theirs])
    false_positive = np.setdiff1d(np.arange(1, count + 1), touching)
    volume_ml = float(sizes[false_positive].sum()) * pair.predicted.voxel_volume_ml
    return len(false_positive), volume_ml


def _connected_components(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[int, int]:
    """Number of components of a mask, and of those that overlap another mask."""
    components, count = label(mask, generate_binary_structure(rank=3, connectivity=3))
    return int(count), len(np.unique(components[mask & other]))
