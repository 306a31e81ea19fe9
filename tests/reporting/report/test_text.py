"""Sentences say what the figures say, and what biases them is said loudly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.paired_difference import PairedDifference
from slicewise.evaluation.statistics import METRICS
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.text import (
    alarms,
    cases_text,
    comparison_sentence,
    figure,
    folds_text,
    meaning,
    p_text,
    verdict_condition,
    verdict_word,
    with_interval,
)

MakeReport = Callable[..., Report]


def with_facts(report: Report, **values: Any) -> Report:
    (fold,) = report.folds
    assert fold.facts is not None
    return replace(report, folds=(replace(fold, facts=replace(fold.facts, **values)),))


def with_pattern(report: Report) -> Report:
    """The same with something that tells which cases share a patient."""
    (fold,) = report.folds
    data = fold.config.data.model_copy(update={"patient_pattern": "(.*)"})
    config = fold.config.model_copy(update={"data": data})
    return replace(report, folds=(replace(fold, config=config),))


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (0.12345, 3, False, "0.123"),
        (-0.5, 1, False, "\N{MINUS SIGN}0.5"),
        (0.5, 1, True, "+0.5"),
        (-0.0001, 3, True, "0.000"),
        (math.nan, 3, False, "\N{EN DASH}"),
        (math.inf, 3, True, "\N{EN DASH}"),
    ],
)
def test_figures(value: float, digits: int, signed: bool, text: str) -> None:
    assert figure(value, digits, signed=signed) == text


def test_p_values() -> None:
    assert p_text(0.0004).replace("\N{NO-BREAK SPACE}", " ") == "< 0.001"
    assert p_text(0.0456) == "0.046"
    assert p_text(math.nan) == "\N{EN DASH}"


def test_the_level(a_report: MakeReport) -> None:
    report = with_pattern(a_report())
    text = " ".join(meaning(report))
    # Dice 0.80 to 0.91 in steps of 0.01.
    assert "In 12 held-out cases of 12 patients the mean Dice over the structures is 0.855" in text
    assert "Half of the cases lie between 0.828 and 0.883." in text
    assert "No structure is false negative or false positive in any case." in text
    assert "No case stands out as a failure." in text


def test_losses_are_told(a_report: MakeReport, a_score: Any) -> None:
    rows = tuple(a_score(f"c{n}") for n in range(3))
    rows += (a_score("c4", state="false negative", dice=0.0, predicted_ml=0.0),)
    text = " ".join(meaning(a_report(scores=rows)))
    assert "core is false negative in 1 case." in text
    assert "1 of 4 cases stands out" in text


def test_undefined_everywhere(
    a_report: MakeReport, a_score: Any, undefined: dict[str, float]
) -> None:
    report = a_report(scores=(a_score(state="both empty", **undefined),))
    assert meaning(report)[0] == "In 1 held-out case no structure has a defined Dice."


def test_nothing_to_say_without_scores(a_report: MakeReport) -> None:
    report = a_report(scores=(), headline=None, summaries=(), failures=())
    assert meaning(report) == []
    assert alarms(report) == []


def test_alarms(a_report: MakeReport) -> None:
    assert alarms(with_pattern(a_report())) == []
    (shared,) = alarms(with_facts(with_pattern(a_report()), shared_patients=3))
    assert shared.startswith("3 patients with scans on both sides")
    (unscored,) = alarms(with_facts(with_pattern(a_report()), validation_cases=14))
    assert unscored.startswith("2 held-out cases could not be scored")
    report = with_pattern(a_report())
    (fold,) = report.folds
    training = fold.config.training.model_copy(update={"keep": "best"})
    chosen = replace(fold, config=fold.config.model_copy(update={"training": training}))
    (best,) = alarms(replace(report, folds=(chosen,)))
    assert "training.keep: best" in best


def test_few_patients_are_an_alarm(a_report: MakeReport, a_score: Any) -> None:
    facts = {"validation_cases": 1}
    (text,) = alarms(with_facts(with_pattern(a_report(scores=(a_score(),))), **facts))
    assert text.startswith("Only 1 patient:")


def test_cases_that_are_taken_for_patients(a_report: MakeReport, a_score: Any) -> None:
    (text,) = alarms(a_report())
    assert text.startswith("Each case counts as one patient; set data.patient_pattern if")
    assert meaning(a_report())[0].startswith("In 12 held-out cases the mean Dice")
    assert "no patient" not in folds_text(a_report())
    # Headers may tell it without a pattern.
    rows = tuple(a_score(f"c{n}", patient=f"p{n // 2}") for n in range(24))
    known = with_facts(a_report(scores=rows), validation_cases=24)
    assert alarms(known) == []
    assert meaning(known)[0].startswith("In 24 held-out cases of 12 patients the mean")


def test_losses_of_many_structures_are_cut(a_report: MakeReport, a_score: Any) -> None:
    rows = [
        a_score("c", f"s{n}", state="false negative", dice=0.0, predicted_ml=0.0) for n in range(9)
    ]
    text = " ".join(meaning(a_report(scores=tuple(rows))))
    assert "s5 is false negative in 1 case; and 3 more." in text


def test_folds(a_report: MakeReport) -> None:
    assert folds_text(with_pattern(a_report())) == (
        "Folds were made by patient; no patient of the held-out cases was trained on. "
        "Held out: fold 2."
    )
    text = folds_text(with_facts(a_report(), shared_patients=1, folds="by case, patients shared"))
    assert text.startswith("Folds were made by case, patients shared; 1 patient on both sides")


def test_interval_only_where_there_is_one(a_report: MakeReport) -> None:
    headline = a_report().headline
    assert headline is not None
    dice = METRICS["dice"]
    assert with_interval(replace(headline, low=math.nan, high=math.nan), dice) == "0.855"
    assert with_interval(replace(headline, low=0.8, high=0.9), dice) == "0.855 (0.800 to 0.900)"


def a_row(name: str, difference: float, p_corrected: float) -> StructureComparison:
    values = {"a": difference, "b": difference}
    # Interval and effect on the side of the difference.
    low, high = sorted((difference / 2, difference * 2))
    effect = 0.5 if difference > 0 else -0.5
    found = PairedDifference(difference, low, high, 2, 2, effect, 0.01, p_corrected)
    return StructureComparison(name, 0.5, 0.6, found, values)


def said(metric: str, *rows: StructureComparison, kind: Any = "baseline") -> str:
    comparison = RunComparison(METRICS[metric], "baseline", "network", rows, (), ())
    other = Compared(kind, "older", None, (comparison,))  # type: ignore[arg-type]
    return comparison_sentence(other).replace("\N{NO-BREAK SPACE}", " ")


def test_comparisons_in_words() -> None:
    assert said("dice", a_row("core", 0.2, 0.001), a_row("rim_zone", -0.1, 0.02)) == (
        "Measured by Dice, the network is better than simple thresholding in core (+0.200, "
        "p = 0.001), and worse than simple thresholding in rim zone (\N{MINUS SIGN}0.100, "
        "p = 0.020)."
    )
    assert said("dice", a_row("core", 0.2, 0.06), kind="other run") == (
        "No structure shows a clear difference in Dice from older."
    )
    assert said("dice", a_row("a", 0.2, 0.01), a_row("b", 0.1, 0.5)).endswith(
        "; 1 structure without a clear difference."
    )


def test_cases_that_are_left_out_are_told_with_the_verdict() -> None:
    row = replace(a_row("core", -0.5, 0.01), undefined=3)
    assert verdict_condition(row, METRICS["hd95_mm"]) == "where both found it"
    assert verdict_condition(row, METRICS["dice"]) == "where both are defined"
    assert verdict_condition(a_row("core", -0.5, 0.01), METRICS["hd95_mm"]) == ""
    assert cases_text(row) == "2 of 5"
    assert "p = 0.010, in 2 of 5 cases)" in said("hd95_mm", row)


@pytest.mark.parametrize(
    ("metric", "difference", "p_corrected", "word"),
    [
        ("dice", 0.1, 0.01, "better"),
        ("dice", -0.1, 0.01, "worse"),
        ("hd95_mm", 0.1, 0.01, "worse"),
        ("hd95_mm", -0.1, 0.01, "better"),
        ("dice", 0.1, 0.05, "unclear"),
        ("dice", 0.1, math.nan, "unclear"),
        ("dice", 0.0, 1.0, "equal"),
    ],
)
def test_verdicts(metric: str, difference: float, p_corrected: float, word: str) -> None:
    assert verdict_word(a_row("core", difference, p_corrected), METRICS[metric]) == word
