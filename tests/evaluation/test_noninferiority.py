"""When a challenger counts as not worse, by numbers that can be followed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from slicewise.evaluation.noninferiority import assess
from slicewise.evaluation.paired_tests import wilcoxon_p
from slicewise.evaluation.scores import Score

LEVELS = (0.71, 0.74, 0.78, 0.8, 0.83, 0.85, 0.88, 0.91)


def scores(dice: Sequence[float], structure: str = "core", patients: int = 99) -> list[Score]:
    return [
        Score(f"c{n}", f"p{n % patients}", structure, "detected", value, value, 1, 1, 1, 1, 1, 1, 1)
        for n, value in enumerate(dice)
    ]


def test_same_scores_are_not_worse() -> None:
    found = assess(scores(LEVELS), scores(LEVELS), 0.0001)
    assert found.is_accepted
    assert [row.structure for row in found.rows] == ["mean", "core"]
    assert found.rows[0].difference.mean == 0
    assert found.rows[0].difference.wilcoxon_p == 1


@pytest.mark.parametrize(("loss", "accepted"), [(0.0049, True), (0.0051, False)])
def test_a_loss_in_every_case_is_held_against_the_margin(loss: float, accepted: bool) -> None:
    found = assess(scores(LEVELS), scores([value - loss for value in LEVELS]), 0.005)
    # Where all cases lose the same, the interval is that loss alone.
    assert found.rows[0].difference.low == pytest.approx(-loss)
    assert found.is_accepted is accepted
    assert any("the Dice may be lower by 0.0051" in text for text in found.objections) != accepted


def test_a_better_mean_with_a_wide_interval_is_no_proof() -> None:
    changed = [value + change for value, change in zip(LEVELS, (0.2, -0.09) * 4, strict=True)]
    found = assess(scores(LEVELS), scores(changed), 0.005)
    assert found.rows[0].difference.mean > 0.05
    assert not found.is_accepted


def test_one_structure_may_not_pay_for_another() -> None:
    champion = scores(LEVELS) + scores(LEVELS, "rim")
    challenger = scores([v + 0.05 for v in LEVELS]) + scores([v - 0.02 for v in LEVELS], "rim")
    found = assess(champion, challenger, 0.005)
    assert found.rows[0].difference.mean == pytest.approx(0.015)
    assert [text.split(":")[0] for text in found.objections] == ["rim"]


def test_cases_of_one_patient_are_no_further_patients() -> None:
    found = assess(scores(LEVELS, patients=5), scores([v + 0.1 for v in LEVELS], patients=5), 0.005)
    assert found.rows[0].difference.patients == 5
    assert found.objections == ("5 patients in common; 6 are the fewest for a test",)


@pytest.mark.parametrize(
    ("challenger", "text"),
    [
        (scores(LEVELS, "rim"), "structures differ: core against rim"),
        (
            [Score("x", "x", "core", "detected", 1, 1, 1, 1, 1, 1, 1, 1, 1)],
            "no held-out case in common, of 8 and 1",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(challenger: list[Score], text: str) -> None:
    found = assess(scores(LEVELS), challenger, 0.005)
    assert not found.rows
    assert not found.is_accepted
    assert text in found.objections[0]


def test_wilcoxon_is_that_of_scipy_and_defined_without_differences() -> None:
    differences = np.array([0.03, -0.01, 0.05, 0.0, 0.02, 0.04, 0.07])
    expected = stats.wilcoxon(differences, zero_method="zsplit").pvalue
    assert wilcoxon_p(differences) == pytest.approx(expected)
    assert wilcoxon_p(np.zeros(4)) == 1
    assert math.isnan(wilcoxon_p(np.zeros(0)))
    # All of five patients alike: 2 / 2^5.
    assert wilcoxon_p(np.arange(1.0, 6.0)) == pytest.approx(0.0625)
