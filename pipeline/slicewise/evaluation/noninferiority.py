"""The test of non-inferiority that a challenger must pass to replace a champion.

Not worse means: of the Dice, challenger minus champion, the lower end of the 95 % interval lies
above minus the margin, for the mean over structures and for each structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.evaluation.comparison import compare, mean_difference, pair_scores
from slicewise.evaluation.paired_difference import PairedDifference, corrected
from slicewise.evaluation.paired_tests import FEWEST_PATIENTS
from slicewise.evaluation.scores import Score
from slicewise.quantities import listed

MEAN = "mean"
"""Row of all structures, each of which counts alike."""
_NAMES = ("champion", "challenger")


@dataclass(frozen=True)
class DiceRow:
    """One structure, or the mean of all, in both models.

    Attributes:
        structure: its name, or ``mean``.
        champion: mean Dice over the cases that both scored.
        challenger: mean Dice over these cases.
        difference: challenger minus champion, p-values corrected over the structures.
    """

    structure: str
    champion: float
    challenger: float
    difference: PairedDifference


@dataclass(frozen=True)
class NonInferiority:
    """The outcome of a test of non-inferiority.

    Attributes:
        rows: the mean first, then a structure each; empty where nothing could be compared.
        margin: largest loss of Dice that counts as not worse.
        objections: why the challenger may not take the place; empty where it may.
    """

    rows: tuple[DiceRow, ...]
    margin: float
    objections: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger is not worse."""
        return not self.objections


def assess(
    champion: Sequence[Score], challenger: Sequence[Score], margin: float, seed: int = 0
) -> NonInferiority:
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
        return NonInferiority((), margin, (text,))
    pairs = pair_scores(champion, challenger)
    if not pairs:
        counts = " and ".join(
            str(len({row.case for row in rows})) for rows in (champion, challenger)
        )
        text = f"no held-out case in common, of {counts}: cross-validate both on one data set"
        return NonInferiority((), margin, (text,))
    compared = compare(champion, challenger, _NAMES, seed=seed)
    rows = tuple(
        DiceRow(row.structure, row.first_mean, row.second_mean, row.difference)
        for row in compared.rows
    )
    mean = DiceRow(
        MEAN,
        float(np.nanmean([row.champion for row in rows])),
        float(np.nanmean([row.challenger for row in rows])),
        *corrected([mean_difference(pairs, seed)]),
    )
    return NonInferiority((mean, *rows), margin, tuple(_objections((mean, *rows), margin)))


def _objections(rows: Sequence[DiceRow], margin: float) -> Iterator[str]:
    patients = rows[0].difference.patients
    if patients < FEWEST_PATIENTS:
        yield f"{patients} patients in common; {FEWEST_PATIENTS} are the fewest for a test"
        return
    for row in rows:
        # Written so that an interval that is not known is no proof.
        if not row.difference.low > -margin:
            yield (
                f"{row.structure}: the Dice may be lower by {-row.difference.low:.4f} (end of the "
                f"95 % interval), the margin is {margin:g}"
            )
