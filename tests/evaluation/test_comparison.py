"""Two runs are compared on what both have, patient by patient, and equal ones are equal."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.errors import DataError, UsageError
from slicewise.evaluation.comparison import compare, pair_scores, write_differences
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import METRICS
from slicewise.evaluation.verdicts import direction, verdict

NAN = math.nan
NAMES = ("old", "new")


def rows(values: Mapping[str, float], structure: str = "a", patient: str = "") -> list[Score]:
    return [
        Score(case, patient or case, structure, "detected", dice, dice, 1, 1, 10 * dice, 1, 1, 1, 1)
        for case, dice in values.items()
    ]


def numbered(values: Sequence[float], structure: str = "a") -> list[Score]:
    return rows({f"c{number}": value for number, value in enumerate(values)}, structure)


def test_by_hand() -> None:
    comparison = compare(numbered((0.5, 0.6, 0.7)), numbered((0.6, 0.8, 1.0)), NAMES)
    (row,) = comparison.rows
    assert (comparison.first, comparison.second, comparison.metric.key) == ("old", "new", "dice")
    assert (row.structure, row.difference.cases, row.difference.patients, row.undefined) == (
        "a",
        3,
        3,
        0,
    )
    assert (row.first_mean, row.second_mean, row.difference.mean) == pytest.approx((0.6, 0.8, 0.2))
    assert row.differences == pytest.approx({"c0": 0.1, "c1": 0.2, "c2": 0.3})
    assert (row.difference.effect_size, row.difference.p_value) == pytest.approx((1, 2 / 2**3))
    # The lowest and the highest of 3^3 draws.
    assert (row.difference.low, row.difference.high) == pytest.approx((0.1, 0.3))


def test_the_other_way_round() -> None:
    random = np.random.default_rng(0)
    first, second = numbered(random.random(20)), numbered(random.random(20))
    (there,), (back,) = (compare(*runs, NAMES).rows for runs in ((first, second), (second, first)))
    assert there.difference.mean == pytest.approx(-back.difference.mean)
    assert there.difference.effect_size == pytest.approx(-back.difference.effect_size)
    assert (there.difference.low, there.difference.high) == pytest.approx(
        (-back.difference.high, -back.difference.low)
    )
    assert there.difference.p_value == pytest.approx(back.difference.p_value, abs=0.02)


def test_a_run_beside_itself() -> None:
    scores = numbered(np.random.default_rng(1).random(30))
    (row,) = compare(scores, scores, NAMES).rows
    assert (
        row.difference.p_value,
        row.difference.p_corrected,
        row.difference.mean,
        row.difference.effect_size,
    ) == (1, 1, 0, 0)
    assert (row.difference.low, row.difference.high) == (0, 0)


def test_patients_count_once() -> None:
    before = numbered((0.5, 0.5, 0.5, 0.5))
    after = numbered((0.9, 0.7, 0.4, 0.6))
    owners = {"c0": "p", "c1": "p", "c2": "q", "c3": "r"}
    before, after = (
        [replace(row, patient=owners[row.case]) for row in run] for run in (before, after)
    )
    (row,) = compare(before, after, NAMES).rows
    assert (row.difference.cases, row.difference.patients) == (4, 3)
    assert row.difference.mean == pytest.approx((0.4 + 0.2 - 0.1 + 0.1) / 4)
    # Sums of the patients: 0.6, -0.1, 0.1, ranks 3, 1.5, 1.5. Of the 8 sums with signs flipped,
    # six are 0.6 or 0.8 in size: all but 0.6 - 0.1 - 0.1 and its opposite.
    assert row.difference.p_value == pytest.approx(6 / 8)
    assert row.difference.effect_size == pytest.approx(3 / 6)


def test_one_patient_of_many_cases_against_all_others() -> None:
    gains = [0.02] * 12 + [-0.02] * 50
    before = [replace(row, patient=_owner(n)) for n, row in enumerate(numbered([0.5] * 62))]
    after = [
        replace(row, patient=_owner(n))
        for n, row in enumerate(numbered([0.5 + gain for gain in gains]))
    ]
    (row,) = compare(before, after, NAMES).rows
    assert (row.difference.cases, row.difference.patients) == (62, 13)
    assert row.difference.mean == pytest.approx((12 * 0.02 - 50 * 0.02) / 62)
    # Whatever signs are flipped, the one sum of 1.0 outweighs twelve of 0.02: none is smaller.
    assert row.difference.p_value == 1
    metric = METRICS["dice"]
    assert direction(row, metric) == 0
    assert "nothing can be said" in verdict(row, metric, NAMES)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9)), min_size=2, max_size=30))
def test_test_and_difference_are_about_one_figure(cases: list[tuple[int, int]]) -> None:
    owners = [f"p{owner}" for owner, _ in cases]
    before, after = numbered([0.5] * len(cases)), numbered([0.5 + gain / 20 for _, gain in cases])
    before, after = (
        [replace(row, patient=owner) for row, owner in zip(run, owners, strict=True)]
        for run in (before, after)
    )
    (row,) = compare(before, after, NAMES).rows
    gain_of = dict.fromkeys(owners, 0)
    for owner, (_, gain) in zip(owners, cases, strict=True):
        gain_of[owner] += gain
    sums = np.array(list(gain_of.values()))
    assert row.difference.mean == pytest.approx(sums.sum() / 20 / len(cases))
    signs = np.array(list(itertools.product((-1, 1), repeat=len(sums))))
    reached = np.abs(signs @ sums) >= abs(sums.sum())
    assert row.difference.p_value == pytest.approx(float(reached.mean()))


def _owner(number: int) -> str:
    return f"p{number}" if number < 12 else "q"


@pytest.mark.parametrize("informed", [0, 1])
def test_the_run_that_knows_the_patients_is_believed(informed: int) -> None:
    runs = [numbered((0.5, 0.6, 0.7)), numbered((0.6, 0.7, 0.7))]
    runs[informed] = [
        replace(row, patient="p" if row.case < "c2" else "q") for row in runs[informed]
    ]
    assert [pair.patient for pair in pair_scores(*runs)] == ["p", "p", "q"]


def test_what_only_one_has() -> None:
    comparison = compare(
        numbered((0.5, 0.6, 0.7)), numbered((0.6, 0.7)) + rows({"x": 0.1, "w": 0.2}), NAMES
    )
    assert (comparison.only_first, comparison.only_second) == (("c2",), ("w", "x"))
    assert comparison.rows[0].difference.cases == 2
    assert comparison.rows[0].first_mean == pytest.approx(0.55)


def test_undefined_in_either_is_left_out_and_counted() -> None:
    comparison = compare(numbered((0.5, NAN, 0.7, 0.2)), numbered((0.6, 0.7, NAN, 0.4)), NAMES)
    (row,) = comparison.rows
    assert (row.difference.cases, row.undefined) == (2, 2)
    assert (row.undefined_first, row.undefined_second) == (1, 1)
    assert row.difference.mean == pytest.approx(0.15)
    assert list(row.differences) == ["c0", "c3"]


def test_undefined_cases_are_counted_by_run() -> None:
    first = numbered((0.5, NAN, NAN, NAN, 0.2))
    (row,) = compare(first, numbered((0.6, 0.7, 0.8, NAN, NAN)), NAMES).rows
    assert (row.difference.cases, row.undefined) == (1, 4)
    assert (row.undefined_first, row.undefined_second) == (2, 1)


def test_undefined_everywhere() -> None:
    scores = numbered((0.5, 0.6))
    comparison = compare(scores, scores, NAMES, "calibration_error")
    (row,) = comparison.rows
    assert (row.difference.cases, row.difference.patients, row.undefined) == (0, 0, 2)
    assert (row.undefined_first, row.undefined_second) == (0, 0)
    assert all(
        math.isnan(value)
        for value in (row.difference.mean, row.difference.low, row.difference.p_corrected)
    )


def test_structures_are_corrected_together() -> None:
    random = np.random.default_rng(2)
    levels = {"a": 0.02, "b": 0.0, "c": 0.05}
    before, after = [], []
    for structure, gain in levels.items():
        values = random.random(10)
        before += numbered(values, structure)
        after += numbered(values + gain + random.normal(0, 0.03, 10), structure)
    found = {row.structure: row.difference for row in compare(before, after, NAMES).rows}
    assert list(found) == ["a", "b", "c"]
    smallest, middle, largest = sorted(found.values(), key=lambda item: item.p_value)
    assert smallest.p_corrected == pytest.approx(3 * smallest.p_value)
    assert middle.p_corrected == pytest.approx(
        max(smallest.p_corrected, min(1, 2 * middle.p_value))
    )
    assert largest.p_corrected == pytest.approx(max(middle.p_corrected, largest.p_value))


def test_errors_of_either_sign_are_compared_by_size() -> None:
    (first,), (second,) = numbered((0.5,)), numbered((0.5,))
    first, second = replace(first, predicted_ml=0.4), replace(second, predicted_ml=1.2)
    comparison = compare([first], [second], NAMES, "volume_error_ml")
    assert comparison.rows[0].difference.mean == pytest.approx(0.2 - 0.6)
    assert comparison.metric.better == "lower"
    assert comparison.metric.title == "absolute volume error"


def test_a_case_of_several_folds_counts_once() -> None:
    twice = numbered((0.4, 0.6)) + numbered((0.6, NAN))
    (row,) = compare(twice, numbered((0.7, 0.7)), NAMES).rows
    assert row.difference.cases == 2
    assert row.differences == pytest.approx({"c0": 0.2, "c1": 0.1})


def test_nothing_in_common() -> None:
    with pytest.raises(DataError) as caught:
        compare(numbered((0.5,)), rows({"other": 0.5}, "b"), NAMES)
    assert "c0 (a) against other (b)" in caught.value.found
    with pytest.raises(DataError, match="no cases"):
        compare([], numbered((0.5,)), NAMES)


def test_unknown_metric() -> None:
    with pytest.raises(UsageError, match="one of dice, iou") as caught:
        compare(numbered((0.5,)), numbered((0.5,)), NAMES, "dise")
    assert caught.value.exit_code == 2


def test_differences_as_csv(tmp_path: Path) -> None:
    pairs = pair_scores(numbered((0.5, NAN)), numbered((0.75, 0.5)))
    write_differences(pairs, tmp_path / "deep" / "differences.csv")
    with (tmp_path / "deep" / "differences.csv").open(newline="") as stream:
        known, undefined = csv.DictReader(stream)
    assert known == {
        "structure": "a", "case": "c0", "patient": "c0",
        "first": "0.5", "second": "0.75", "difference": "0.25",
    }  # fmt: skip
    assert (undefined["first"], undefined["second"], undefined["difference"]) == ("", "0.5", "")
