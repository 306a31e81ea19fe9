"""The mean of paired differences over cases, and how certain it is with patients as units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from slicewise.evaluation.paired_tests import (
    Floats,
    holm,
    rank_biserial,
    sign_flip_p,
    wilcoxon_p,
)
from slicewise.evaluation.statistics import mean_interval, patient_sums


@dataclass(frozen=True)
class PairedDifference:
    """A mean difference, such as the Dice of one run minus that of another; NaN without any case.

    Attributes:
        mean: over cases; of several structures, each of which counts alike, the mean of these.
        low: end of its 95 % interval by patient-level bootstrap; NaN with fewer than two patients.
        high: the other end.
        cases: that have a difference.
        patients: whose they are.
        effect_size: matched-pairs rank-biserial correlation of the patients' contributions to the
            mean, from -1 (negative in every patient) to 1 (positive in every patient).
        p_value: two-sided, of a permutation test of the mean that flips the signs of patients.
        p_corrected: ``p_value`` corrected by Holm for what was tested together; NaN where that was
            not asked for.
        wilcoxon_p: two-sided, of Wilcoxon's signed-rank test of the patients' contributions; NaN
            where that was not asked for.
    """

    mean: float
    low: float
    high: float
    cases: int
    patients: int
    effect_size: float
    p_value: float
    p_corrected: float = math.nan
    wilcoxon_p: float = math.nan


def paired_difference(
    differences: Sequence[float] | Floats,
    patients: Sequence[str],
    *,
    cases: Sequence[str] | None = None,
    structures: Sequence[str] | None = None,
    seed: int = 0,
    with_wilcoxon: bool = False,
) -> PairedDifference:
    """Average paired differences, with interval, effect size and tests.

    Args:
        differences: one per case and structure; undefined ones (NaN) do not count.
        patients: whose each one is.
        cases: name of the case of each one; None where each is of a case of its own.
        structures: of each one; None where all are of the same.
        seed: of bootstrap and permutations.
        with_wilcoxon: whether Wilcoxon's test is made, too.
    """
    values = np.asarray(differences, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values)).tolist()
    if not known:
        return PairedDifference(math.nan, math.nan, math.nan, 0, 0, math.nan, math.nan)
    sums, counts = patient_sums(
        ["" if structures is None else structures[place] for place in known],
        [patients[place] for place in known],
        values[known].tolist(),
    )
    # Each structure counts alike, however many cases have it.
    contributions = (sums / counts.sum(axis=1, keepdims=True)).sum(axis=0) / len(sums)
    low, high = mean_interval(sums, counts, np.random.default_rng(seed))
    return PairedDifference(
        mean=float((sums.sum(axis=1) / counts.sum(axis=1)).mean()),
        low=low,
        high=high,
        cases=len(known) if cases is None else len({cases[place] for place in known}),
        patients=len(contributions),
        effect_size=rank_biserial(contributions),
        p_value=sign_flip_p(contributions, np.random.default_rng(seed)),
        wilcoxon_p=wilcoxon_p(contributions) if with_wilcoxon else math.nan,
    )


def corrected(differences: Sequence[PairedDifference]) -> list[PairedDifference]:
    """The same with p-values corrected by Holm, as all of them were tested together."""
    p_values = holm([item.p_value for item in differences])
    return [replace(item, p_corrected=p) for item, p in zip(differences, p_values, strict=True)]
