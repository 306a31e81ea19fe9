"""Scores of a champion and a challenger in; whether the challenger is not worse, and why, out.

Not worse means: of the Dice, challenger minus champion, the lower end of the 95 % interval lies
above minus the margin, for the mean over structures and for each structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.dataset.catalogue import listed
from slicewise.evaluation.comparison import (
    PairedScore,
    StructureComparison,
    compare,
    mean_difference,
    pair_scores,
)
from slicewise.evaluation.paired_tests import FEWEST_PATIENTS, wilcoxon_p
from slicewise.evaluation.scores import Score

MEAN = "mean"
"""Row of all structures together."""
_NAMES = ("champion", "challenger")


@dataclass(frozen=True)
class Row:
    """One structure, or the mean of all, in both models.

    Attributes:
        structure: its name, or ``mean``.
        cases: that both scored.
        patients: whose they are.
        champion: mean Dice over these cases.
        challenger: mean Dice over these cases.
        difference: challenger minus champion.
        low: end of its 95 % interval, patients drawn; NaN with fewer than two patients.
        high: the other end.
        wilcoxon_p: of Wilcoxon's signed-rank test over patients.
        p_value: of a permutation test of the difference; structures are corrected by Holm.
    """

    structure: str
    cases: int
    patients: int
    champion: float
    challenger: float
    difference: float
    low: float
    high: float
    wilcoxon_p: float
    p_value: float


@dataclass(frozen=True)
class Judgement:
    """What a comparison came to.

    Attributes:
        rows: the mean first, then a structure each; empty where nothing could be compared.
        margin: largest loss of Dice that still counts as not worse.
        objections: why the challenger may not take the place; empty where it may.
    """

    rows: tuple[Row, ...]
    margin: float
    objections: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger is not worse."""
        return not self.objections


def judge(
    champion: Sequence[Score], challenger: Sequence[Score], margin: float, seed: int = 0
) -> Judgement:
    """Compare two models on the held-out cases that both have scored.

    Args:
        champion: rows of its held-out cases.
        challenger: rows of its held-out cases.
        margin: of Dice, not below 0.
        seed: of intervals and tests.
    """
    ours, theirs = ({row.structure for row in scores} for scores in (champion, challenger))
    if ours != theirs:
        text = f"structures differ: {listed(sorted(ours))} against {listed(sorted(theirs))}"
        return Judgement((), margin, (text,))
    pairs = pair_scores(champion, challenger)
    if not pairs:
        counts = " and ".join(
            str(len({row.case for row in rows})) for rows in (champion, challenger)
        )
        text = f"no held-out case in common, of {counts}: cross-validate both on one data set"
        return Judgement((), margin, (text,))
    compared = compare(champion, challenger, _NAMES, seed=seed)
    rows = (_mean(pairs, compared.rows, seed), *map(_of_structure, compared.rows))
    return Judgement(rows, margin, tuple(_objections(rows, margin)))


def _objections(rows: Sequence[Row], margin: float) -> Iterator[str]:
    patients = rows[0].patients
    if patients < FEWEST_PATIENTS:
        yield f"{patients} patients in common; {FEWEST_PATIENTS} are needed to tell anything"
        return
    for row in rows:
        # Written so that an interval that is not known is no proof.
        if not row.low > -margin:
            yield (
                f"{row.structure}: the Dice may be lower by {-row.low:.4f} (end of the 95 % "
                f"interval), the margin is {margin:g}"
            )


def _mean(
    pairs: Sequence[PairedScore], structures: Sequence[StructureComparison], seed: int
) -> Row:
    found = mean_difference(pairs, seed)
    return Row(
        MEAN,
        len({case for row in structures for case in row.differences}),
        len(found.of_patients),
        float(np.nanmean([row.first_mean for row in structures])),
        float(np.nanmean([row.second_mean for row in structures])),
        found.difference,
        found.low,
        found.high,
        wilcoxon_p(found.of_patients),
        found.p_value,
    )


def _of_structure(row: StructureComparison) -> Row:
    return Row(
        row.structure,
        row.cases,
        row.patients,
        row.first_mean,
        row.second_mean,
        row.difference,
        row.low,
        row.high,
        row.wilcoxon_p,
        row.p_corrected,
    )
