"""A gain of each held-out case in, how large it is on average and how sure that is out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicewise.evaluation.paired_tests import holm, sign_flip_p
from slicewise.evaluation.statistics import mean_interval, patient_sums

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05
"""Largest corrected p-value of what is chosen."""


@dataclass(frozen=True)
class Effect:
    """A mean gain over cases, patients being the units of doubt.

    Attributes:
        cases: that count.
        patients: whose they are.
        mean: over cases.
        low: end of its 95 % interval, patients drawn; NaN with fewer than two.
        high: the other end.
        p_value: two-sided, of a permutation test; see ``sign_flip_p``.
    """

    cases: int
    patients: int
    mean: float
    low: float
    high: float
    p_value: float


def effect(gains: Floats, patients: Sequence[str], seed: int = 0) -> Effect:
    """Mean gain with its interval and its test.

    Args:
        gains: one a case, more being better.
        patients: whose each case is.
        seed: of draws and permutations.
    """
    sums, counts = patient_sums(["gain"] * len(gains), patients, list(gains))
    low, high = mean_interval(sums, counts, np.random.default_rng(seed))
    return Effect(
        cases=len(gains),
        patients=sums.shape[1],
        mean=float(gains.mean()) if len(gains) else math.nan,
        low=low,
        high=high,
        p_value=sign_flip_p(sums.ravel(), np.random.default_rng(seed)),
    )


def corrected(effects: Sequence[Effect]) -> list[float]:
    """P-values of everything that was tried at once, by Holm."""
    return holm([item.p_value for item in effects])
