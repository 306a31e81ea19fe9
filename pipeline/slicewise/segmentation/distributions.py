"""Distributions of what is measured of the scans of a training, with limits for one more scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from slicewise.dataset.measurements import THUMBNAIL
from slicewise.segmentation.scan_summary import AXES, LAYOUT

FALSE_ALARMS = 0.05
"""Share of scans like those of the training that may be called unlike."""
_LEAST = 0.2
"""Smallest half-width of an interval of logarithms of distances."""
_MOST_AXES = 24
MIRRORED = "mirrored"
"""Begins the names of comparisons of a scan with its mirror images."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """Prediction interval of a figure, on the scale of its summary.

    Attributes:
        lowest: of the scans of the training.
        highest: of the scans of the training.
        centre: their mean.
        halfwidth: a scan that is farther from the centre is unlike them.
    """

    lowest: float
    highest: float
    centre: float
    halfwidth: float

    @classmethod
    def of(cls, values: Floats, figures: int, least: float, error: float = 0.0) -> Interval:
        """The interval for one more value.

        It is that of a normal distribution, and where scans of the training lie outside of it, it
        reaches beyond them.

        Args:
            values: of the scans of the training.
            figures: how many figures of a scan are looked at (Bonferroni).
            least: smallest half-width.
            error: standard error with which the figure of one more scan is known.
        """
        count, centre = len(values), float(values.mean())
        quantile = float(stats.t.ppf(1 - FALSE_ALARMS / (2 * figures), count - 1))
        spread = math.hypot(values.std(ddof=1) * math.sqrt(1 + 1 / count), error)
        beyond = (1 + 2 / math.sqrt(count)) * float(np.abs(values - centre).max())
        halfwidth = max(least, quantile * spread, beyond)
        return cls(float(values.min()), float(values.max()), centre, halfwidth)

    def score(self, value: float) -> float:
        """Distance from the centre; above 1 it is outside of the interval."""
        return abs(value - self.centre) / self.halfwidth

    def score_above(self, value: float) -> float:
        """Like ``score``, where only large values matter; otherwise 0."""
        return max(0.0, value - self.centre) / self.halfwidth


def widened(intervals: Mapping[str, Interval], factors: Mapping[str, float]) -> dict[str, Interval]:
    """Each interval times its factor; 1 where none is given."""
    return {
        name: replace(item, halfwidth=item.halfwidth * factors.get(name, 1.0))
        for name, item in intervals.items()
    }


@dataclass(frozen=True)
class Cloud:
    """The distribution of a vector: mean and shrunk covariance, for Mahalanobis distances.

    Attributes:
        mean: of each entry.
        axes: principal axes, shape (axes, entries).
        variances: along each axis, shrunk.
        rest: variance in every other direction.
        intervals: of the logarithms of the distances of scans that were left out; of the layout
            also how much farther they are than their mirror images.

    Source:
        Ledoit and Wolf, J Multivar Anal 2004;88(2):365-411; Lee et al., A Simple Unified Framework
        for Detecting Out-of-Distribution Samples, NeurIPS 2018.
    """

    mean: tuple[float, ...]
    axes: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    rest: float
    intervals: Mapping[str, Interval]

    @classmethod
    def of(cls, name: str, vectors: Floats, figures: int) -> Cloud:
        """Fit to vectors (scans, entries)."""
        places = np.arange(len(vectors))
        left_out = [
            _figures(name, vectors[place], Gaussian.of(vectors[places != place]))
            for place in places
        ]
        whole = Gaussian.of(vectors)
        return cls(
            tuple(whole.mean.tolist()),
            tuple(tuple(axis) for axis in whole.axes.tolist()),
            tuple(whole.variances.tolist()),
            whole.rest,
            {
                key: Interval.of(np.array([found[key] for found in left_out]), figures, _LEAST)
                for key in left_out[0]
            },
        )

    def scores(self, name: str, vector: Floats) -> dict[str, float]:
        """Score of each of its intervals; above 1 the vector is unlike those of the training."""
        found = _figures(name, vector, self._gaussian)
        return {key: self.intervals[key].score_above(value) for key, value in found.items()}

    @cached_property
    def _gaussian(self) -> Gaussian:
        # Scans that are all equal have no axes.
        axes = np.array(self.axes).reshape(len(self.axes), len(self.mean))
        return Gaussian(np.array(self.mean), axes, np.array(self.variances), self.rest)


def _figures(name: str, vector: Floats, gaussian: Gaussian) -> dict[str, float]:
    """The distance of a vector, and of a layout that from its mirror images."""
    distance = gaussian.log_distance(vector)
    found = {name: distance}
    if name == LAYOUT:
        blocks = vector.reshape(-1, *THUMBNAIL)  # (C, X, Y, Z)
        for axis, words in enumerate(AXES, start=1):
            mirrored = np.flip(blocks, axis).ravel()
            found[f"{MIRRORED} {words}"] = distance - gaussian.log_distance(mirrored)
    return found


@dataclass(frozen=True)
class Gaussian:
    """Mean, principal axes, shrunk variances along them, and the variance elsewhere."""

    mean: Floats
    axes: Floats
    variances: Floats
    rest: float

    @classmethod
    def of(cls, vectors: Floats) -> Gaussian:
        """Fit to vectors (scans, entries)."""
        mean = vectors.mean(0)
        centred = vectors - mean
        # There are fewer scans than entries: their products are the smaller matrix.
        products = centred @ centred.T / len(vectors)  # (scans, scans)
        variances, combinations = np.linalg.eigh(products)
        largest = np.argsort(variances)[::-1][:_MOST_AXES]
        largest = largest[variances[largest] > 1e-12 * max(variances.max(), 1e-12)]
        scale = np.sqrt(variances[largest, None] * len(vectors))
        axes = combinations.T[largest] @ centred / scale
        average = max(np.trace(products) / vectors.shape[1], 1e-12)
        shrinkage = max(_shrinkage(products, vectors.shape[1]), 1e-3)
        shrunk = (1 - shrinkage) * variances[largest] + shrinkage * average
        return cls(mean, axes, shrunk, float(shrinkage * average))

    def log_distance(self, vector: Floats) -> float:
        """Logarithm of the Mahalanobis distance an entry."""
        centred = vector - self.mean
        along = self.axes @ centred
        elsewhere = max(float(centred @ centred - along @ along), 0.0)
        squared = float((along**2 / self.variances).sum()) + elsewhere / self.rest
        return 0.5 * math.log(max(squared / len(vector), 1e-12))


def _shrinkage(products: Floats, entries: int) -> float:
    """How far a covariance is moved towards a multiple of the identity (Ledoit and Wolf).

    That of scikit-learn needs the covariance itself, which is many times as large.

    Args:
        products: of the centred vectors with each other, divided by their number.
        entries: of a vector.
    """
    dispersion = float((products**2).sum()) - float(np.trace(products)) ** 2 / entries
    error = float((np.diag(products) ** 2).sum()) - float((products**2).sum()) / len(products)
    return min(error, dispersion) / dispersion if dispersion > 0 else 1.0
