"""Means, counts and intervals against values by hand, a plain loop and known coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import (
    METRICS,
    RESAMPLES,
    final_metrics,
    mean_dice,
    mean_dice_interval,
    summarize,
)
from slicewise.metrics.components import ComponentCounts

NAN = math.nan


def row(
    dice: float,
    structure: str = "a",
    case: str = "case",
    patient: str = "",
    state: str = "detected",
    volumes: tuple[float, float] = (1, 1),
) -> Score:
    return Score(
        case, patient or case, structure, state, dice, dice / 2, 1, 1, 2, 0.5, 0.9, *volumes
    )


def test_summary_counts_every_state() -> None:
    rows = [
        row(0.9, "b", "c0"),
        row(0.5, "a", "c0"),
        row(0.0, "b", "c1", "p", "false negative"),
        row(0.0, "b", "c2", "p", "false positive"),
        row(NAN, "b", "c3", state="both empty"),
        row(0.6, "b", "c4"),
        row(NAN, "b", "c5", state="both empty"),
    ]
    b, a = summarize(rows)
    assert (b.structure, a.structure) == ("b", "a")
    assert (b.cases, b.patients, b.false_negative, b.false_positive, b.undefined) == (6, 5, 1, 1, 2)
    assert (a.cases, a.patients, a.false_negative, a.false_positive, a.undefined) == (1, 1, 0, 0, 0)
    dice = b.metrics["dice"]
    assert dice.count == 4
    assert dice.mean == pytest.approx((0.9 + 0 + 0 + 0.6) / 4)
    assert (dice.lower_quartile, dice.median, dice.upper_quartile) == pytest.approx((0, 0.3, 0.675))
    assert b.metrics["iou"].mean == pytest.approx((0.45 + 0.3) / 4)
    assert mean_dice([b, a]) == pytest.approx((0.375 + 0.5) / 2)


def test_every_metric_is_summarized_where_it_is_defined() -> None:
    lesions = replace(row(0.5), components=ComponentCounts(4, 3, 2, 1), calibration_error=0.25)
    (summary,) = summarize([lesions, row(0.7, case="other")])
    assert list(summary.metrics) == list(METRICS)
    counts = {key: item.count for key, item in summary.metrics.items()}
    assert counts == dict.fromkeys(METRICS, 2) | {
        "component_sensitivity": 1,
        "component_precision": 1,
        "component_f1": 1,
        "calibration_error": 1,
    }
    assert summary.metrics["component_sensitivity"].mean == pytest.approx(3 / 4)
    assert summary.metrics["component_precision"].mean == pytest.approx(1 / 2)
    assert summary.metrics["calibration_error"].mean == 0.25


def test_a_structure_that_no_case_has_is_undefined_and_left_out_of_the_mean() -> None:
    rows = [row(NAN, "ghost", state="both empty"), row(0.8, "head")]
    ghost, head = summarize(rows)
    dice = ghost.metrics["dice"]
    assert dice.count == 0
    assert all(math.isnan(value) for value in (dice.mean, dice.median, dice.low, dice.high))
    assert ghost.undefined == 1
    assert mean_dice([ghost, head]) == pytest.approx(0.8)
    assert mean_dice_interval(rows).mean == pytest.approx(0.8)
    assert math.isnan(mean_dice([ghost]))
    assert math.isnan(mean_dice([]))
    assert mean_dice_interval([]).count == 0


@pytest.mark.parametrize("odd", [NAN, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_left_out(odd: float) -> None:
    (summary,) = summarize([replace(row(0.5), hd95_mm=odd), replace(row(0.5), hd95_mm=3)])
    assert summary.metrics["hd95_mm"].count == 1
    assert summary.metrics["hd95_mm"].mean == 3


def test_a_case_of_several_folds_counts_once() -> None:
    twice = [
        row(0.4, case="c0", state="false negative", volumes=(0, 4)),
        row(0.8, case="c0", volumes=(2, 4)),
        row(0.9, case="c1", volumes=(5, 4)),
        row(NAN, case="c2", state="both empty", volumes=(0, 0)),
        row(0.0, case="c2", state="false positive", volumes=(1, 0)),
    ]
    (summary,) = summarize(twice)
    assert (summary.cases, summary.patients) == (3, 3)
    assert (summary.false_negative, summary.false_positive, summary.undefined) == (1, 1, 0)
    dice = summary.metrics["dice"]
    assert (dice.count, dice.mean) == (3, pytest.approx((0.6 + 0.9 + 0.0) / 3))
    assert summary.volume.count == 3
    # Predicted 1 of 4, 5 of 4, and 1 of 0 as the empty one of two is left out.
    assert summary.volume.bias_ml == pytest.approx((-3 + 1 + 1) / 3)
    headline = mean_dice_interval(twice)
    assert (headline.count, headline.mean) == (3, pytest.approx(0.5))
    once = [row(0.6, case="c0"), row(0.9, case="c1"), row(0.0, case="c2")]
    assert (headline.low, headline.high) == (
        mean_dice_interval(once).low,
        mean_dice_interval(once).high,
    )


def test_one_patient_has_no_interval() -> None:
    rows = [row(0.5, case="c0", patient="p"), row(0.7, case="c1", patient="p")]
    dice = summarize(rows)[0].metrics["dice"]
    assert dice.mean == pytest.approx(0.6)
    assert math.isnan(dice.low)
    assert math.isnan(dice.high)
    assert math.isnan(mean_dice_interval(rows).low)


def test_equal_values_have_an_interval_of_no_width() -> None:
    dice = summarize([row(0.7, case=f"c{n}") for n in range(5)])[0].metrics["dice"]
    assert (dice.low, dice.high) == pytest.approx((0.7, 0.7))


def some_rows(random: np.random.Generator, patients: int) -> list[Score]:
    """One to four cases a patient, which are alike."""
    rows = []
    for patient in range(patients):
        level = random.normal(0.7, 0.1)
        for number in range(int(random.integers(1, 5))):
            dice = level + random.normal(0, 0.02)
            rows.append(row(dice, case=f"c{patient}.{number}", patient=f"p{patient}"))
    return rows


def interval_by_loop(rows: Sequence[Score], seed: int) -> tuple[float, float]:
    """The bootstrap in its plainest form: draw patients, pool their cases, take the mean."""
    random = np.random.default_rng(seed)
    patients = sorted({item.patient for item in rows})
    cases = {who: [item.dice for item in rows if item.patient == who] for who in patients}
    means = []
    for _ in range(4 * RESAMPLES):
        drawn = random.choice(patients, len(patients))
        means.append(np.mean([dice for who in drawn for dice in cases[who]]))
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def test_interval_agrees_with_a_plain_loop() -> None:
    rows = some_rows(np.random.default_rng(5), 30)
    dice = summarize(rows)[0].metrics["dice"]
    low, high = interval_by_loop(rows, 6)
    assert dice.low == pytest.approx(low, abs=0.05 * (high - low))
    assert dice.high == pytest.approx(high, abs=0.05 * (high - low))
    # Cases drawn one by one would make it narrower.
    alone = summarize([replace(item, patient=item.case) for item in rows])[0].metrics["dice"]
    assert dice.high - dice.low > 1.2 * (alone.high - alone.low)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        rows = some_rows(random, 40)
        dice = summarize(rows)[0].metrics["dice"]
        covered += dice.low <= 0.7 <= dice.high
    # 95 % of 200, give or take three standard deviations and the bias of a percentile bootstrap.
    assert 176 <= covered <= 200


def test_interval_depends_on_the_seed_alone() -> None:
    rows = some_rows(np.random.default_rng(8), 12)
    found = summarize(rows)[0]
    assert summarize(list(reversed(rows)))[0].metrics["dice"].low == pytest.approx(
        found.metrics["dice"].low
    )
    more = summarize([row(0.1, "other"), *rows])[1]
    assert more.metrics["dice"] == found.metrics["dice"]
    assert summarize(rows, seed=1)[0].metrics["dice"].low != found.metrics["dice"].low


def test_headline_of_one_structure_is_its_mean() -> None:
    rows = some_rows(np.random.default_rng(9), 15)
    headline, dice = mean_dice_interval(rows), summarize(rows)[0].metrics["dice"]
    assert (headline.mean, headline.low, headline.high) == pytest.approx(
        (dice.mean, dice.low, dice.high)
    )


def test_headline_is_the_mean_over_structures() -> None:
    rows = [row(0.9, "a", f"c{n}") for n in range(4)]
    rows += [row(0.5, "rare", "c0"), row(0.3, "rare", "c1"), row(NAN, "rare", "c2")]
    headline = mean_dice_interval(rows)
    assert headline.mean == pytest.approx((0.9 + 0.4) / 2)
    assert headline.mean == pytest.approx(mean_dice(summarize(rows)))
    # Of the cases: 0.7, 0.6, 0.9 and 0.9.
    assert headline.count == 4
    assert headline.median == pytest.approx(0.8)
    # Draws without any of the rare structure are about the other one alone.
    assert headline.low == pytest.approx((0.9 + 0.3) / 2)
    assert headline.high == pytest.approx(0.9)


def test_bland_altman_by_hand() -> None:
    volumes = [(11, 10), (8, 10), (30, 27), (0, 2)]
    rows = [row(0.5, case=f"c{n}", volumes=pair) for n, pair in enumerate(volumes)]
    rows.append(row(NAN, case="none", state="both empty", volumes=(0, 0)))
    volume = summarize(rows)[0].volume
    assert volume.count == 4
    # Differences 1, -2, 3, -2: mean 0, squares 1 + 4 + 9 + 4 over 3.
    assert volume.bias_ml == pytest.approx(0)
    assert volume.upper_limit_ml == pytest.approx(1.96 * math.sqrt(18 / 3))
    assert volume.lower_limit_ml == pytest.approx(-1.96 * math.sqrt(18 / 3))
    ours, theirs = np.transpose(volumes).astype(float)
    products = ((ours - 12.25) * (theirs - 12.25)).sum()
    spread = math.sqrt(((ours - 12.25) ** 2).sum() * ((theirs - 12.25) ** 2).sum())
    assert volume.correlation == pytest.approx(products / spread)


def test_bland_altman_of_too_little() -> None:
    one = summarize([row(1, volumes=(3, 2))])[0].volume
    assert one.bias_ml == 1
    assert math.isnan(one.lower_limit_ml)
    assert math.isnan(one.correlation)
    constant = summarize([row(1, case=f"c{n}", volumes=(n, 2)) for n in range(4)])[0].volume
    assert math.isnan(constant.correlation)
    nothing = summarize([row(NAN, state="both empty")])[0].volume
    assert nothing.count == 0
    assert math.isnan(nothing.bias_ml)


def test_final_metrics_of_a_run() -> None:
    rows = [row(0.8), row(0.0, case="other", state="false negative")]
    found = final_metrics(summarize(rows))
    assert found["dice"] == found["dice.a"] == pytest.approx(0.4)
    assert (found["hd95_mm.a"], found["surface_dice.a"]) == (2, 0.9)
    assert (found["false_negative.a"], found["false_positive.a"]) == (1, 0)
    assert found["iou.a"] == pytest.approx(0.2)
