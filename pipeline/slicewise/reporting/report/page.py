"""A report in, one HTML file that needs nothing else out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from slicewise.config import Config, as_yaml
from slicewise.evaluation.scores import Score
from slicewise.quantities import millilitres
from slicewise.reporting.charts.export import svg_of
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.html_page import data_address, write_page
from slicewise.reporting.overlays import AGREEMENT, CONFUSED, EXTRA, LACKING
from slicewise.reporting.report.case_panels import Panel
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
"""Stands in the head of the page, so that an older report is known as one."""
_DIFFERENCES = (
    (AGREEMENT, "agreement"),
    (EXTRA, "predicted, but not in the reference"),
    (LACKING, "in the reference, but not predicted"),
    (CONFUSED, "taken for another structure"),
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
class _Beside:
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
    """Write the page: how good, better than what, where it fails, and how it came to be.

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
        "beside": [_beside(other) for other in report.compared],
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
        "data": list(_data(report)),
        "preprocessing": list(_preprocessing(report)),
        "set_aside": _set_aside(report),
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
        yield _Tile(str(cases), "held-out cases" if report.folds else "cases")
    if report.scores:
        if not patients_unknown(report):
            yield _Tile(str(len({score.patient for score in report.scores})), "patients")
        for text, counts in (
            ("false negatives", [item.false_negative for item in report.summaries]),
            ("false positives", [item.false_positive for item in report.summaries]),
        ):
            count = sum(counts)
            yield _Tile(str(count), text, "problem" if count else "")
        undefined = sum(item.undefined for item in report.summaries)
        yield _Tile(str(undefined), "both empty")
    if cases:
        failed = len({failure.case for failure in report.failures})
        yield _Tile(str(failed), "to look at", "warning" if failed else "")


def _beside(other: Compared) -> _Beside:
    comparison = other.comparisons[0]
    return _Beside(
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
        (report.colours[structure], shown_name(structure), f"{millilitres(of_cases[name])} ml")
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
        tuple(_picture(panel, f"Error map of {name}") for panel in case.panels.maps),
    )


def _in_figures(score: Score) -> str:
    return (
        f"Dice {figure(score.dice, 3)}, HD95 {figure(score.hd95_mm, 1)} mm, volume "
        f"{millilitres(score.predicted_ml)} of {millilitres(score.reference_ml)} ml"
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


def _data(report: Report) -> Iterator[tuple[str, str]]:
    told = not patients_unknown(report)
    for facts in report.facts:
        prefix = f"fold {facts.fold}: " if len(report.facts) > 1 else ""
        slices = f", {facts.training_slices:,} slices" if facts.training_slices else ""
        yield (
            f"{prefix}learned from",
            f"{facts.training_cases} cases"
            f"{f' of {facts.training_patients} patients' * told}{slices}",
        )
        yield (
            f"{prefix}held out",
            f"{facts.validation_cases} cases{f' of {facts.validation_patients} patients' * told}",
        )
    if report.folds:
        config = report.folds[0].config
        yield "contrasts", ", ".join(config.data.contrasts)
        yield "structures", ", ".join(map(shown_name, config.data.labels))


def _preprocessing(report: Report) -> Iterator[tuple[str, str]]:
    if not report.folds:
        return
    config: Config = report.folds[0].config
    section = config.preprocessing
    low, high = section.clip_percentiles
    planes = {"thickest": "across the thickest voxels", "all": "axial, coronal and sagittal"}
    yield "slices", planes.get(section.plane, section.plane)
    spacing_mm = " x ".join(f"{value:g}" for value in section.spacing_mm or ())
    name = "spacing" if section.plane == "all" else "in-plane spacing"
    yield name, f"{spacing_mm} mm" if spacing_mm else "as scanned"
    yield (
        "intensities",
        f"clipped to the {low:g}th to {high:g}th percentile of the foreground "
        f"({section.foreground}), then one mean and deviation a volume",
    )
    yield "crop to foreground", "yes" if section.crop_foreground else "no"
    if report.network is None and all(facts.kind == "baseline" for facts in report.facts):
        return
    neighbours = config.network.context_slices
    plural = "s" * (neighbours > 1)
    yield "context", f"{neighbours} neighbour{plural} on either side" if neighbours else "none"


def _set_aside(report: Report) -> dict[str, str]:
    return {name: reason for facts in report.facts for name, reason in facts.set_aside.items()}
