"""The report as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from slicewise.config import as_yaml
from slicewise.evaluation.scores import Score
from slicewise.quantities import noun_for, part_of, size
from slicewise.reporting.charts.export import svg_of
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.html_page import data_address, write_page
from slicewise.reporting.overlays import AGREEMENT, CONFUSED, FALSE_NEGATIVE, FALSE_POSITIVE
from slicewise.reporting.report.charts import (
    Chart,
    comparison_chart,
    probability_charts,
    spread_charts,
    training_charts,
    volume_charts,
)
from slicewise.reporting.report.contents import Compared, Report, ReportedCase
from slicewise.reporting.report.failures import KINDS, Failure
from slicewise.reporting.report.method import (
    data_facts,
    preprocessing_facts,
    scan_facts,
    set_aside_reasons,
)
from slicewise.reporting.report.panels import Panel
from slicewise.reporting.report.tables import (
    ComparisonRow,
    case_rows,
    comparison_rows,
    headline_columns,
    score_titles,
    structure_rows,
)
from slicewise.reporting.report.text import (
    INTERVALS,
    POLICY,
    alarms,
    comparison_sentence,
    figure,
    folds_text,
    meaning,
    patients_unknown,
)

GENERATOR = "slicewise report"
"""Written into the head of the page, by which an older report is recognised."""
_DIFFERENCES = (
    (AGREEMENT, "agreement"),
    (FALSE_POSITIVE, "false positive: only predicted"),
    (FALSE_NEGATIVE, "false negative: only in the reference"),
    (CONFUSED, "wrong structure"),
)


@dataclass(frozen=True)
class _Tile:
    count: str
    text: str
    kind: str = ""


@dataclass(frozen=True)
class _Drawn:
    key: str
    title: str
    caption: str
    svg: Markup


@dataclass(frozen=True)
class _Picture:
    address: str
    caption: str
    words: str
    width: int
    height: int


@dataclass(frozen=True)
class _Shown:
    """A case with its pictures, as the template prints it."""

    anchor: str
    name: str
    role: str
    place: str
    facts: tuple[tuple[str, str, str], ...]
    reasons: tuple[Failure, ...]
    notes: tuple[str, ...]
    panels: tuple[_Picture, ...]
    maps: tuple[_Picture, ...]


@dataclass(frozen=True)
class _ComparedRun:
    """Another run, as the template prints it."""

    kind: str
    name: str
    sentence: str
    rows: tuple[ComparisonRow, ...]
    chart: _Drawn
    first: str
    second: str
    caveats: tuple[str, ...]


def write_report_page(report: Report, path: Path) -> None:
    """Write the page: scores, comparisons, cases, failures and method.

    Raises:
        OutputError: the file cannot be written.
    """
    viewer = report.viewer if report.viewer and report.viewer.markup else None
    write_page(
        path,
        "report.html.j2",
        _content(report) | {"viewer": viewer},
        ["report.css"],
        ["report.js"],
        more_scripts=viewer.scripts if viewer else (),
        more_policy=viewer.policy if viewer else None,
    )


def _content(report: Report) -> dict[str, Any]:
    anchors = {case.panels.case: f"case-{n}" for n, case in enumerate(report.cases, start=1)}
    return {
        "title": f"{report.name}: segmentation report",
        "generator": GENERATOR,
        "report": report,
        "kinds": KINDS,
        "headline": report.headline and figure(report.headline.mean, 3),
        "headline_interval": _interval(report),
        "tiles": list(_tiles(report)),
        "alarms": alarms(report),
        "meaning": meaning(report),
        "folds": folds_text(report),
        "policy": POLICY,
        "intervals": INTERVALS,
        "columns": headline_columns(report),
        "structure_rows": list(structure_rows(report)),
        "compared": [_compared(other) for other in report.compared],
        "spread": _drawn(spread_charts(report)),
        "volumes": _drawn(list(volume_charts(report))),
        "probabilities": _drawn(probability_charts(report)),
        "training": _drawn(training_charts(report)),
        "differences": _DIFFERENCES,
        "cases": [_shown(case, report, anchors) for case in report.cases],
        "has_maps": any(case.panels.maps for case in report.cases),
        "failures": [
            (failure, anchors.get(failure.case, ""), shown_name(failure.structure))
            for failure in report.failures
        ],
        "score_titles": score_titles(report),
        "case_rows": list(case_rows(report, anchors)),
        "structure_names": [shown_name(name) for name in _names(report)],
        "data": list(data_facts(report)),
        "scans": list(scan_facts(report)),
        "preprocessing": list(preprocessing_facts(report)),
        "set_aside": set_aside_reasons(report),
        "network": report.network and svg_of(report.network),
        "configuration": as_yaml(report.folds[0].config) if report.folds else "",
    }


def _interval(report: Report) -> str:
    headline = report.headline
    if headline is None or headline.low != headline.low:
        return ""
    return f"{figure(headline.low, 3)} to {figure(headline.high, 3)}"


def _tiles(report: Report) -> Iterator[_Tile]:
    cases = len(report.case_names)
    if cases:
        yield _Tile(str(cases), noun_for(cases, "held-out case" if report.folds else "case"))
    if report.scores:
        if not patients_unknown(report):
            patients = len({score.patient for score in report.scores})
            yield _Tile(str(patients), noun_for(patients, "patient"))
        for text, counts in (
            ("false negative", [item.false_negative for item in report.summaries]),
            ("false positive", [item.false_positive for item in report.summaries]),
        ):
            count = sum(counts)
            yield _Tile(str(count), noun_for(count, text), "problem" if count else "")
        undefined = sum(item.undefined for item in report.summaries)
        yield _Tile(str(undefined), "both empty")
    if cases:
        failed = len({failure.case for failure in report.failures})
        yield _Tile(str(failed), "to review", "warning" if failed else "")


def _compared(other: Compared) -> _ComparedRun:
    comparison = other.comparisons[0]
    return _ComparedRun(
        other.kind,
        other.name,
        comparison_sentence(other),
        tuple(comparison_rows(other)),
        _drawn([comparison_chart(other)])[0],
        comparison.first,
        comparison.second,
        other.caveats,
    )


def _drawn(charts: list[Chart]) -> list[_Drawn]:
    return [_Drawn(item.key, item.title, item.caption, svg_of(item.figure)) for item in charts]


def _shown(case: ReportedCase, report: Report, anchors: Mapping[str, str]) -> _Shown:
    name = case.panels.case
    facts = [
        (report.colours[score.structure], shown_name(score.structure), _in_figures(score))
        for score in report.scores
        if score.case == name
    ]
    facts += [
        (
            report.colours[structure],
            shown_name(structure),
            size(of_cases[name], in_pixels=report.in_pixels),
        )
        for structure, of_cases in report.volumes_ml.items()
    ]
    return _Shown(
        anchors[name],
        name,
        case.role,
        case.panels.place,
        tuple(facts),
        tuple(failure for failure in report.failures if failure.case == name),
        case.notes,
        tuple(_picture(panel, f"{name}, {case.panels.place}") for panel in case.panels.panels),
        tuple(_picture(panel, f"Error map of {name}") for panel in _maps(case)),
    )


def _maps(case: ReportedCase) -> tuple[Panel, ...]:
    """Error maps with their colour bar."""
    bar = case.panels.colour_bar
    return case.panels.maps if bar is None else (*case.panels.maps, bar)


def _in_figures(score: Score) -> str:
    unit, what = ("px", "area") if score.in_pixels else ("mm", "volume")
    return (
        f"Dice {figure(score.dice, 3)}, HD95 {figure(score.hd95_mm, 1)} {unit}, {what} "
        f"{part_of(score.predicted_ml, score.reference_ml, in_pixels=score.in_pixels)}"
    )


def _picture(panel: Panel, what: str) -> _Picture:
    return _Picture(
        data_address(panel.content, "image/webp"),
        panel.caption,
        f"{what}: {panel.caption}",
        panel.width,
        panel.height,
    )


def _names(report: Report) -> list[str]:
    return [item.structure for item in report.summaries] or list(report.volumes_ml)
