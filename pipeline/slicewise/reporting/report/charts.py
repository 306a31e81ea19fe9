"""The charts of a report with titles and captions, for page and slides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from slicewise.evaluation.statistics import METRICS, metric_in
from slicewise.reporting.charts.differences import differences_figure
from slicewise.reporting.charts.scores import (
    agreement_figure,
    distribution_figure,
    predicted_volumes_figure,
    reliability_figure,
    volumes_figure,
)
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.charts.training import loss_figure, validation_figure
from slicewise.reporting.report.contents import Compared, Report

SPREAD_METRICS = ("dice", "surface_dice", "hd95_mm", "relative_volume_error")
_MAX_ROWS_IN_ONE_COLUMN = 3


@dataclass(frozen=True)
class Chart:
    """A figure with title and caption.

    Attributes:
        key: part of a file name.
        title: heading.
        caption: how to read it.
        figure: the drawing.
    """

    key: str
    title: str
    caption: str
    figure: Figure


def spread_charts(report: Report) -> list[Chart]:
    """The distribution of each metric over the cases; of volumes where there are no scores."""
    if report.volumes_ml:
        figure = predicted_volumes_figure(
            report.volumes_ml, report.colours, in_pixels=report.in_pixels
        )
        caption = "Each point is a case; boxes span the quartiles."
        return [Chart("volumes", "Predicted volumes", caption, figure)]
    return [
        Chart(
            f"spread-{key.replace('_', '-')}",
            _capitalized(METRICS[key].title),
            "Each point is a case; boxes span the quartiles, the diamond is the mean with its "
            "95 % interval.",
            distribution_figure(
                report.scores,
                report.summaries,
                metric_in(key, in_pixels=report.in_pixels),
                report.colours,
            ),
        )
        for key in SPREAD_METRICS
        if any(item.metrics[key].count for item in report.summaries)
    ]


def volume_charts(report: Report) -> Iterator[Chart]:
    """Predicted and reference volumes of each structure, two charts each."""
    for number, summary in enumerate(report.summaries, start=1):
        if not summary.volume.count:
            continue
        colour, name = report.colours[summary.structure], shown_name(summary.structure)
        key = f"{number}-{_file_part(summary.structure)}"
        yield Chart(
            f"volumes-{key}",
            f"Volumes of {name}",
            "Predicted against reference volume, with the line of identity.",
            volumes_figure(report.scores, summary, colour),
        )
        yield Chart(
            f"agreement-{key}",
            f"Bland-Altman, {name}",
            "Bias and limits of agreement: 95 % of such differences are expected between them.",
            agreement_figure(report.scores, summary, colour),
        )


def probability_charts(report: Report) -> list[Chart]:
    """Calibration of the probabilities; none where none were kept."""
    if not report.reliability:
        return []
    return [
        Chart(
            "reliability",
            "Reliability of the probabilities",
            "On the diagonal, 80 % of the voxels with probability 0.8 belong to the structure. "
            "Below it the network is overconfident. Voxels below 0.01 are left out.",
            reliability_figure(report.reliability, report.colours),
        )
    ]


def training_charts(report: Report) -> list[Chart]:
    """Loss and validation Dice over the steps; folds share a chart."""
    names = [f"fold {fold.facts.fold}" if fold.facts else fold.folder.name for fold in report.folds]
    if len(names) == 1:
        names = ["this run"]
    losses = {
        name: fold.losses for name, fold in zip(names, report.folds, strict=True) if fold.losses
    }
    validations = {
        name: fold.validations
        for name, fold in zip(names, report.folds, strict=True)
        if fold.validations
    }
    charts = []
    if losses:
        caption = "Mean over equal numbers of steps."
        charts.append(Chart("loss", "Training loss", caption, loss_figure(losses)))
    if validations:
        caption = "Of whole volumes of the held-out cases, on the preprocessed grid."
        figure = validation_figure(validations, report.colours)
        charts.append(Chart("validation", "Validation Dice", caption, figure))
    return charts


def comparison_chart(other: Compared) -> Chart:
    """How each case changed from another run to this one."""
    comparison = other.comparisons[0]
    columns = 1 if len(comparison.rows) <= _MAX_ROWS_IN_ONE_COLUMN else 2
    return Chart(
        f"against-{_file_part(other.kind)}",
        f"{_capitalized(comparison.metric.title)}: {comparison.second} against {comparison.first}",
        "One bar for each case, sorted: blue is better, orange worse. The line is the mean "
        "difference, the band its 95 % interval.",
        differences_figure(comparison, columns),
    )


def every_chart(report: Report) -> list[Chart]:
    """All charts, in the order of the page."""
    return [
        *map(comparison_chart, report.compared),
        *spread_charts(report),
        *volume_charts(report),
        *probability_charts(report),
        *training_charts(report),
    ]


def _file_part(name: str) -> str:
    """What of a name any file system takes; it need not be unique."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40].lower()


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]
