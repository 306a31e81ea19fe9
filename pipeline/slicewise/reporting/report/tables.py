"""The rows of the tables of a report, as text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slicewise.evaluation.comparison import StructureComparison
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import METRICS, Metric, metric_in
from slicewise.quantities import millilitres
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.report.contents import Compared, Report
from slicewise.reporting.report.text import (
    cases_text,
    figure,
    metric_text,
    p_text,
    verdict_condition,
    verdict_word,
    with_interval,
)

_HEADLINES = ("dice", "surface_dice", "hd95_mm", "volume_error_ml")
_PERCENT = "relative_volume_error"


@dataclass(frozen=True)
class StructureRow:
    """One structure over all cases; ``figures`` are in the order of ``headline_columns``."""

    name: str
    colour: str
    cases: int
    figures: tuple[str, ...]
    false_negative: int
    false_positive: int
    undefined: int


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of one structure in two runs.

    Attributes:
        metric: title.
        structure: name.
        cases: that count, of those that both runs scored.
        first: mean of the first run.
        second: mean of the second run.
        difference: with its interval.
        effect: rank-biserial correlation.
        p_value: corrected.
        verdict: better, worse, unclear or equal.
        condition: where the verdict holds; empty where no case was left out.
    """

    metric: str
    structure: str
    cases: str
    first: str
    second: str
    difference: str
    effect: str
    p_value: str
    verdict: str
    condition: str


@dataclass(frozen=True)
class CaseRow:
    """One structure of one case; ``figures`` are in the order of ``score_columns``.

    Attributes:
        case: name.
        anchor: of its pictures, or empty.
        patient: pseudonym.
        structure: name.
        state: detected, false negative, false positive or both empty.
        figures: texts.
        is_failure: whether it is listed among the failures.
    """

    case: str
    anchor: str
    patient: str
    structure: str
    state: str
    figures: tuple[str, ...]
    is_failure: bool


def headline_columns(report: Report) -> list[str]:
    """Titles of the metrics in the table of structures."""
    tolerances = sorted({structure.surface_tolerance_mm for structure in report.structures})
    unit = "px" if report.in_pixels else "mm"
    within = f" ({tolerances[0]:g} {unit})" if len(tolerances) == 1 else ""
    metrics = [metric_in(key, in_pixels=report.in_pixels) for key in _HEADLINES]
    return [_title(metric) + within * (metric.key == "surface_dice") for metric in metrics]


def structure_rows(report: Report) -> Iterator[StructureRow]:
    """One row for each structure: means with their intervals, and counts of errors."""
    tolerances = {item.name: item.surface_tolerance_mm for item in report.structures}
    is_same = len(set(tolerances.values())) == 1
    for item in report.summaries:
        figures = [
            with_interval(item.metrics[key], metric_in(key, in_pixels=item.in_pixels))
            for key in _HEADLINES
        ]
        if not is_same:
            place = _HEADLINES.index("surface_dice")
            unit = "px" if item.in_pixels else "mm"
            figures[place] += f" at {tolerances[item.structure]:g} {unit}"
        yield StructureRow(
            shown_name(item.structure),
            report.colours[item.structure],
            item.cases,
            tuple(figures),
            item.false_negative,
            item.false_positive,
            item.undefined,
        )


def comparison_rows(other: Compared) -> Iterator[ComparisonRow]:
    """One row for each metric and structure."""
    for comparison in other.comparisons:
        for row in comparison.rows:
            if row.difference.cases:
                yield _comparison_row(row, comparison.metric)


def score_columns(report: Report) -> list[Metric]:
    """Metrics that some case has."""
    return [
        metric_in(key, in_pixels=report.in_pixels)
        for key in METRICS
        if any(not math.isnan(getattr(score, key)) for score in report.scores)
    ]


def score_titles(report: Report) -> list[str]:
    """Titles of the columns of figures in the table of all cases."""
    if report.volumes_ml:
        return ["predicted px" if report.in_pixels else "predicted ml"]
    metrics = [_title(metric) for metric in score_columns(report)]
    unit = "px" if report.in_pixels else "ml"
    return [*metrics, f"predicted {unit}", f"reference {unit}", "confidence"]


def case_rows(report: Report, anchors: Mapping[str, str]) -> Iterator[CaseRow]:
    """Every structure of every case.

    Args:
        report: with scores, or with volumes alone.
        anchors: case to the place of its pictures in the page.
    """
    failed = {(failure.case, failure.structure) for failure in report.failures}
    metrics = score_columns(report)
    for score in report.scores:
        yield CaseRow(
            score.case,
            anchors.get(score.case, ""),
            score.patient,
            shown_name(score.structure),
            score.state,
            _score_figures(score, metrics),
            bool({(score.case, score.structure), (score.case, "")} & failed),
        )
    for name, of_cases in report.volumes_ml.items():
        for case, volume_ml in of_cases.items():
            yield CaseRow(
                case,
                anchors.get(case, ""),
                "",
                shown_name(name),
                "predicted" if volume_ml else "empty",
                (millilitres(volume_ml),),
                (case, name) in failed,
            )


def _score_figures(score: Score, metrics: list[Metric]) -> tuple[str, ...]:
    figures = [_figure_of(float(getattr(score, metric.key)), metric) for metric in metrics]
    volumes = (millilitres(score.predicted_ml), millilitres(score.reference_ml))
    return (*figures, *volumes, figure(score.confidence, 3))


def _figure_of(value: float, metric: Metric) -> str:
    if metric.key == _PERCENT and math.isfinite(value):
        return f"{figure(100 * value, 1, signed=True)} %"
    return metric_text(value, metric)


def _comparison_row(row: StructureComparison, metric: Metric) -> ComparisonRow:
    difference = metric_text(row.difference.mean, metric, signed=True)
    if math.isfinite(row.difference.low):
        ends = (row.difference.low, row.difference.high)
        low, high = (metric_text(end, metric, signed=True) for end in ends)
        difference += f" ({low} to {high})"
    return ComparisonRow(
        _title(metric),
        shown_name(row.structure),
        cases_text(row),
        metric_text(row.first_mean, metric),
        metric_text(row.second_mean, metric),
        difference,
        figure(row.difference.effect_size, 2, signed=True),
        p_text(row.difference.p_corrected),
        verdict_word(row, metric),
        verdict_condition(row, metric),
    )


def _title(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.title[:1].upper()}{metric.title[1:]}{unit}"
