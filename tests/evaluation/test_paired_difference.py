"""One mean difference with its interval and tests, by figures that can be followed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from slicewise.evaluation.paired_difference import corrected, paired_difference

NAN = math.nan


def test_by_hand() -> None:
    # Patient p has two cases, q and r one each; the sums are 0.6, -0.1 and 0.1.
    found = paired_difference([0.4, 0.2, -0.1, 0.1], ["p", "p", "q", "r"])
    assert found.mean == pytest.approx(0.6 / 4)
    assert (found.cases, found.patients) == (4, 3)
    # Of the 3^3 draws, only (p, p, p) and (q, q, q) have the extreme means 0.3 and -0.1, one in 27
    # each, which is more than 2.5 %.
    assert (found.low, found.high) == pytest.approx((-0.1, 0.3))
    # Ranks 3, 1.5 and 1.5; of the 8 sums with signs flipped, 6 are at least 0.6 in size.
    assert found.effect_size == pytest.approx((3 - 1.5 + 1.5) / 6)
    assert found.p_value == pytest.approx(6 / 8)
    assert math.isnan(found.wilcoxon_p)
    assert math.isnan(found.p_corrected)


def test_structures_count_alike_and_cases_once() -> None:
    # Structure a in three cases, b in one: the mean is that of 0.2 and 0.6.
    found = paired_difference(
        [0.1, 0.2, 0.3, 0.6],
        ["p", "q", "r", "r"],
        cases=["p1", "q1", "r1", "r1"],
        structures=["a", "a", "a", "b"],
    )
    assert found.mean == pytest.approx((0.2 + 0.6) / 2)
    assert (found.cases, found.patients) == (3, 3)
    assert found.p_value == pytest.approx(2 / 2**3)
    assert found.effect_size == 1


def test_undefined_differences_do_not_count() -> None:
    found = paired_difference([0.1, NAN, 0.3], ["p", "q", "r"], cases=["p1", "q1", "r1"])
    assert found == paired_difference([0.1, 0.3], ["p", "r"])
    nothing = paired_difference([NAN], ["p"])
    assert (nothing.cases, nothing.patients) == (0, 0)
    assert all(math.isnan(value) for value in (nothing.mean, nothing.low, nothing.p_value))


def test_one_patient_has_no_interval() -> None:
    found = paired_difference([0.1, 0.3], ["p", "p"])
    assert math.isnan(found.low)
    assert found.p_value == 1


def test_wilcoxon_is_that_of_the_patients() -> None:
    values = np.array([0.03, -0.01, 0.05, 0.02, 0.04, 0.07, 0.06])
    found = paired_difference(values, list("abcdefg"), with_wilcoxon=True)
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(values).pvalue)


def test_what_is_tested_together_is_corrected_together() -> None:
    clear = paired_difference([0.1] * 8, list("abcdefgh"))
    weak = paired_difference([0.1, -0.1, 0.2, -0.1], list("abcd"))
    nothing = paired_difference([], [])
    found = corrected([weak, clear, nothing])
    assert found[1].p_corrected == pytest.approx(2 * 2 / 2**8)
    assert found[0].p_corrected == pytest.approx(max(weak.p_value, found[1].p_corrected))
    assert math.isnan(found[2].p_corrected)
    assert (found[1].mean, found[1].p_value) == (clear.mean, clear.p_value)
