"""Histograms of a measure over the cases, as bars for a template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slicewise.dataset.cohort_measure import CohortMeasure
from slicewise.dataset.cohort_qc import FEWEST_CASES, ROBUST_Z

BINS = 16
_WIDE = 30.0
"""A range that spans more than this factor is drawn on a logarithmic axis."""


@dataclass(frozen=True)
class Bar:
    """One bar; lengths are fractions of the chart.

    Attributes:
        left: of its left edge.
        height: of the highest bar.
        count: cases.
        is_far: whether it contains an outlier.
        span: its range, as text.
    """

    left: float
    height: float
    count: int
    is_far: bool
    span: str


@dataclass(frozen=True)
class Histogram:
    """The distribution of a measure over the cases.

    Attributes:
        title: what is measured, and its unit.
        bars: those that are not empty.
        lowest: of the values.
        median: of the values.
        highest: of the values.
        is_logarithmic: whether equal steps are equal factors.
    """

    title: str
    bars: tuple[Bar, ...]
    lowest: str
    median: str
    highest: str
    is_logarithmic: bool


def histogram(measure: CohortMeasure) -> Histogram | None:
    """The histogram of a measure; None for few or equal values."""
    values = np.array(list(measure.values.values()))
    if len(values) < FEWEST_CASES or measure.is_uniform:
        return None
    is_logarithmic = bool(values.max() / values.min() > _WIDE)
    edges = (np.geomspace if is_logarithmic else np.linspace)(values.min(), values.max(), BINS + 1)
    places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    scores = np.array(list(measure.robust_z().values()))
    is_far = np.abs(scores) > ROBUST_Z
    most = int(np.bincount(places).max())
    ends = [measure.shown(float(edge)) for edge in edges]
    bars = tuple(
        Bar(
            left=place / BINS,
            height=int(count) / most,
            count=int(count),
            is_far=bool(is_far[places == place].any()),
            span=f"{ends[place]} to {ends[place + 1]}",
        )
        for place, count in enumerate(np.bincount(places, minlength=BINS))
        if count
    )
    return Histogram(
        title=f"{measure.name}, {measure.unit}" if measure.unit else measure.name,
        bars=bars,
        lowest=measure.number(float(values.min())),
        median=measure.number(measure.median),
        highest=measure.number(float(values.max())),
        is_logarithmic=is_logarithmic,
    )
