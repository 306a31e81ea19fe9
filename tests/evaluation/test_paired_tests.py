"""Effect size, permutation test and correction against values by hand and another library."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from slicewise.evaluation.paired_tests import holm, rank_biserial, sign_flip_p


def p_of(*differences: float) -> float:
    return sign_flip_p(np.array(differences, dtype=float), np.random.default_rng(0))


def by_enumeration(differences: list[float]) -> float:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    means = np.abs((signs * differences).mean(1))
    return float(np.mean(means >= abs(np.mean(differences)) - 1e-12))


@pytest.mark.parametrize("count", [2, 5, 6, 10])
def test_same_sign_everywhere_is_as_rare_as_patients_are_many(count: int) -> None:
    assert p_of(*range(1, count + 1)) == pytest.approx(2 / 2**count)


def test_exact_with_ties_and_zeros() -> None:
    differences = [0.1, 0.1, -0.1, 0, 0, 0.3, 0.2, 0.2, -0.05]
    assert p_of(*differences) == pytest.approx(by_enumeration(differences))


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=8))
def test_exact_for_few_patients(differences: list[int]) -> None:
    assert p_of(*differences) == pytest.approx(by_enumeration(differences))


def test_many_patients_are_drawn_from_a_seed() -> None:
    random = np.random.default_rng(3)
    differences = random.normal(0.1, 1, 260)
    found = p_of(*differences)
    assert found == p_of(*differences)
    assert found == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=0.02)


def test_without_any_difference() -> None:
    assert p_of(0, 0, 0, 0) == 1
    assert p_of(*[0] * 40) == 1


def test_one_patient_tells_nothing() -> None:
    assert p_of(0.4) == 1
    assert math.isnan(p_of())


def test_rank_biserial_by_hand() -> None:
    # Sizes 1, 2, 2, 4 have the ranks 1, 2.5, 2.5, 4.
    found = rank_biserial(np.array([-1.0, 2, -2, 4]))
    assert found == pytest.approx((2.5 + 4 - 1 - 2.5) / 10)


def test_rank_biserial_takes_for_equal_what_only_rounding_tells_apart() -> None:
    # 0.1 + 0.2 - 0.3 is not quite 0, and 0.1 + 0.2 not quite 0.3. Ranks 1, 2.5, 2.5.
    found = rank_biserial(np.array([0.1 + 0.2 - 0.3, 0.1 + 0.2, -0.3]))
    assert found == 0
    assert rank_biserial(np.array([0.1 + 0.2 - 0.3, 1.0])) == pytest.approx(2 / 3)


def test_rank_biserial_at_its_ends() -> None:
    assert rank_biserial(np.array([0.1, 0.2, 5])) == 1
    assert rank_biserial(np.array([-0.1, -0.2, -5])) == -1
    assert rank_biserial(np.zeros(4)) == 0
    assert math.isnan(rank_biserial(np.array([])))


def test_one_patient_of_many_is_no_large_effect() -> None:
    # Ranks 2, 2, 2 and 4 of 10.
    assert rank_biserial(np.array([0, 0, 0, 0.9])) == pytest.approx(4 / 10)


def test_holm_by_hand() -> None:
    # Ascending 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.06, never falling.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]) == []


def test_holm_leaves_out_what_is_undefined() -> None:
    found = holm([math.nan, 0.03, 0.01])
    assert math.isnan(found[0])
    assert found[1:] == pytest.approx([0.03, 0.02])
