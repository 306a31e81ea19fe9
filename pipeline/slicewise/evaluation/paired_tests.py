"""Effect size and tests of paired differences, one a patient, and Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import permutation_test, rankdata, wilcoxon

Floats = NDArray[np.float64]

FEWEST_PATIENTS = 6
"""With fewer, a two-sided test cannot come below 0.05, however they differ: 2 / 2^5 = 0.0625."""
SIGNIFICANT = 0.05
"""Corrected p-values below it count as significant."""
PERMUTATIONS = 9999
"""Up to 13 patients, these are all that there are, and the p-value is exact."""
_DRAWN_AT_ONCE = 1000
_DIGITS = 12


def rank_biserial(differences: Floats) -> float:
    """Matched-pairs rank-biserial correlation, an effect size of paired differences.

    Patients are ranked by the size of their difference. The sum of the ranks of increases, minus
    that of decreases, is divided by the sum of all ranks; a difference of 0 counts for neither.

    Args:
        differences: one a patient, such as the sum over the patient's cases.

    Returns:
        1 where all differences are increases, -1 where all are decreases; NaN without any.

    Source:
        Kerby, Compr Psychol 2014;3:11.IT.3.1.
    """
    if not len(differences):
        return math.nan
    # What differs by the last digits of arithmetic alone is equal, and what remains of them is 0.
    rounded = np.round(differences, _DIGITS)
    ranks = rankdata(np.abs(rounded))
    return float((np.sign(rounded) * ranks).sum() / ranks.sum())


def sign_flip_p(differences: Floats, generator: np.random.Generator) -> float:
    """P-value of a permutation test of a sum of differences that flips their signs.

    With the sum over a patient's cases as the difference of the patient, it is about the mean over
    cases: both sums differ only by the number of cases, which no flip changes.

    Like Wilcoxon's signed-rank test it takes differences to be symmetric about 0 if there is none;
    unlike that, it is about the figure that is reported, and exact with ties and zeros. With n
    patients no p-value is below 2 / 2^n.
    """
    if len(differences) < 2:
        return 1.0 if len(differences) else math.nan
    return float(
        permutation_test(
            (differences,),
            _rounded_sum,
            permutation_type="samples",
            vectorized=True,
            n_resamples=PERMUTATIONS,
            batch=_DRAWN_AT_ONCE,
            axis=-1,
            rng=generator,
        ).pvalue
    )


def wilcoxon_p(differences: Floats) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; differences of 0 count for both sides.

    Returns:
        1 where nothing differs; NaN without any difference.

    Source:
        Wilcoxon, Biometrics Bulletin 1945;1(6):80-83; zeros as Pratt, JASA 1959;54:655-667.
    """
    # What differs by the last digits of arithmetic alone is equal.
    rounded = np.round(differences, _DIGITS)
    if not len(rounded):
        return math.nan
    if not rounded.any():
        return 1.0
    return float(wilcoxon(rounded, zero_method="zsplit", method="auto").pvalue)


def _rounded_sum(differences: Floats, axis: int) -> Floats:
    """A sum without the last digits of arithmetic, by which equal sums may differ."""
    total: Floats = np.round(differences.sum(axis=axis), _DIGITS)
    return total


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number; those that are NaN stay so and do not count.

    Source:
        Holm, Scand J Stat 1979;6(2):65-70.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected
