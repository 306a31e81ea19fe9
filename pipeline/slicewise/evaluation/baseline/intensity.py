"""Classes of intensity, from dark to bright, by k-means thresholds or fixed ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from slicewise.evaluation.baseline.scans import Floats, Mask, NormalizedScan

NEAR_PRIOR = 0.05
"""Voxels where some structure was at least as often in training are near the structures."""

_SAMPLED_VOXELS = 20_000
_ITERATIONS = 30
_COUNTS = (2, 3, 4, 5)

_STEP = 0.25
_LEVELS = np.arange(-2.5, 3.0 + _STEP, _STEP)


@dataclass(frozen=True)
class Grouping:
    """Classes of intensity, between thresholds that are found in each scan or fixed.

    Attributes:
        count: number of classes.
        contrast: index of the contrast that is looked at; None looks at all together.
        basis: what decides where classes end: k-means of the whole ``scan`` or of its voxels
            ``near`` the structures, or ``fixed`` steps of the normalised intensity.
    """

    count: int
    contrast: int | None
    basis: Literal["scan", "near", "fixed"]


def groupings(contrast_count: int) -> tuple[Grouping, ...]:
    """Every way that the search tries."""
    single = range(contrast_count)
    contrasts = [*single] if contrast_count == 1 else [None, *single]
    found = [
        Grouping(count, contrast, basis)
        for basis in ("scan", "near")
        for contrast in contrasts
        for count in _COUNTS
    ]
    return (*found, *(Grouping(len(_LEVELS) + 1, contrast, "fixed") for contrast in single))


def bounds(grouping: Grouping, first: int, last: int) -> tuple[float, float]:
    """Normalised intensity at which neighbouring fixed classes begin and end; may be infinite."""
    assert grouping.basis == "fixed"
    edges = [-np.inf, *_LEVELS, np.inf]
    return float(edges[first]), float(edges[last + 1])


def classes_of(scan: NormalizedScan, grouping: Grouping, prior: Floats) -> NDArray[np.uint8]:
    """Class of every voxel, 0 the darkest in the first contrast that is looked at.

    Args:
        scan: normalised.
        grouping: which classes.
        prior: frequencies of the structures on the scan, (K, X, Y, Z).

    Returns:
        Shape (X, Y, Z). A scan with fewer values than classes has all its voxels in class 0.
    """
    if grouping.basis == "fixed":
        assert grouping.contrast is not None
        return np.asarray(np.digitize(scan.contrasts[grouping.contrast], _LEVELS), dtype=np.uint8)
    chosen = slice(None) if grouping.contrast is None else [grouping.contrast]
    features = scan.contrasts[chosen]  # (F, X, Y, Z)
    centres = _centres(features, _deciding(grouping, prior), grouping.count)
    if len(features) == 1:
        middles = (centres[1:, 0] + centres[:-1, 0]) / 2
        return np.asarray(np.digitize(features[0], middles), dtype=np.uint8)
    distances = [((features - centre[:, None, None, None]) ** 2).sum(axis=0) for centre in centres]
    return np.asarray(np.argmin(distances, axis=0), dtype=np.uint8)


def _deciding(grouping: Grouping, prior: Floats) -> Mask:
    near: Mask = prior.max(axis=0) >= NEAR_PRIOR
    return near if grouping.basis == "near" and near.any() else np.ones_like(near)


def _centres(features: Floats, deciding: Mask, count: int) -> Floats:
    """Centres of the classes, (count, F), ascending in the first feature; one if all is flat."""
    all_samples = features[:, deciding].T  # (N, F)
    samples = np.ascontiguousarray(all_samples[:: -(-len(all_samples) // _SAMPLED_VOXELS)])
    if len(np.unique(samples[:, 0])) < count:
        return samples[:1]
    # Equal shares from dark to bright to start with: nothing is random.
    ranks = samples[:, 0].argsort(kind="stable").argsort(kind="stable")
    labels = (ranks * count // len(samples)).astype(np.int32)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, _ITERATIONS, 1e-3)
    _, _, found = cv2.kmeans(samples, count, labels, stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)
    centres: Floats = np.asarray(found, dtype=np.float32)
    order = centres[:, 0].argsort(kind="stable")
    return np.stack([centres[place] for place in order])
