"""Charts of scores: distributions, volumes, Bland-Altman plots and reliability diagrams."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slicewise.evaluation.scores import Score
from slicewise.metrics.calibration import Reliability
from slicewise.quantities import millilitres, size
from slicewise.reporting.charts.style import (
    INK,
    PAPER,
    QUIET,
    chart,
    new_figure,
    shown_name,
)

if TYPE_CHECKING:
    from slicewise.evaluation.statistics import Distribution, Metric, StructureSummary

_MAX_POINTS = 2500
"""More points are rasterised, which keeps the page small."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@chart
def distribution_figure(
    scores: Sequence[Score],
    summaries: Sequence[StructureSummary],
    metric: Metric,
    colours: Mapping[str, str],
) -> Figure:
    """Draw a box plot for each structure, with each case as a point and the mean as a diamond.

    Boxes span the quartiles, whiskers reach 1.5 interquartile ranges; the bar across the diamond is
    the 95 % interval of the mean.

    Args:
        scores: one row for each case and structure.
        summaries: of the same scores.
        metric: what is drawn.
        colours: structure to #rrggbb.
    """
    found = {item.structure: item.metrics[metric.key] for item in summaries}
    words = "; ".join(_in_words(name, item, metric) for name, item in found.items())
    figure = new_figure(
        f"{metric.title} of every case. {words}.", height=max(1.0 + 0.55 * len(found), 1.9)
    )
    axes = figure.subplots()
    many = len(scores) > _MAX_POINTS
    for place, (name, item) in enumerate(found.items()):
        rows = (getattr(score, metric.key) for score in scores if score.structure == name)
        values = [value for value in rows if not math.isnan(value)]
        if values:
            _draw_box(axes, values, place, colours[name], many=many)
            _draw_mean(axes, item, place)
    _name_rows(axes, list(found))
    axes.set_xlabel(_with_unit(metric))
    return figure


@chart
def predicted_volumes_figure(
    volumes_ml: Mapping[str, Mapping[str, float]],
    colours: Mapping[str, str],
    *,
    in_pixels: bool = False,
) -> Figure:
    """Draw a box plot of the predicted volumes of each structure, without reference.

    Args:
        volumes_ml: structure to the predicted volume of each case.
        colours: structure to #rrggbb.
        in_pixels: whether they are areas in pixels.
    """
    medians = {
        name: size(float(np.median(list(of_cases.values()))), in_pixels=in_pixels)
        for name, of_cases in volumes_ml.items()
    }
    words = "; ".join(f"{shown_name(name)}: median {text}" for name, text in medians.items())
    figure = new_figure(
        f"Predicted volumes. {words}.", height=max(1.0 + 0.55 * len(volumes_ml), 1.9)
    )
    axes = figure.subplots()
    for place, (name, of_cases) in enumerate(volumes_ml.items()):
        values = list(of_cases.values())
        _draw_box(axes, values, place, colours[name], many=len(values) > _MAX_POINTS)
    _name_rows(axes, list(volumes_ml))
    axes.set_xlabel("area, px" if in_pixels else "volume, ml")
    return figure


@chart
def volumes_figure(scores: Sequence[Score], summary: StructureSummary, colour: str) -> Figure:
    """Draw predicted against reference volumes of one structure, with the line of identity."""
    rows = _measured(scores, summary.structure)
    reference = [row.reference_ml for row in rows]
    predicted = [row.predicted_ml for row in rows]
    name, volume = shown_name(summary.structure), summary.volume
    figure = new_figure(
        f"Predicted against reference volume of {name} in {volume.count} cases, "
        f"correlation {_figure(volume.correlation, 3)}."
    )
    axes = figure.subplots()
    most = max([*reference, *predicted, 1e-6]) * 1.05
    axes.plot([0, most], [0, most], color=QUIET, linewidth=0.9)
    _points(axes, reference, predicted, colour)
    axes.set_xlim(0, most)
    axes.set_ylim(0, most)
    axes.set_title(f"{name}: r = {_figure(volume.correlation, 3)}")
    what = "area, px" if summary.in_pixels else "volume, ml"
    axes.set_xlabel(f"reference {what}")
    axes.set_ylabel(f"predicted {what}")
    return figure


@chart
def agreement_figure(scores: Sequence[Score], summary: StructureSummary, colour: str) -> Figure:
    """Draw the Bland-Altman plot of the volumes of one structure.

    Source:
        Bland and Altman, Lancet 1986;327:307-310.
    """
    rows = _measured(scores, summary.structure)
    middle = [(row.reference_ml + row.predicted_ml) / 2 for row in rows]
    errors = [row.volume_error_ml for row in rows]
    unit = "px" if summary.in_pixels else "ml"
    name, volume = shown_name(summary.structure), summary.volume
    figure = new_figure(
        f"Bland-Altman plot of the volume of {name} in {volume.count} cases: bias "
        f"{millilitres(volume.bias_ml, signed=True)} {unit}, limits of agreement "
        f"{millilitres(volume.lower_limit_ml, signed=True)} to "
        f"{millilitres(volume.upper_limit_ml, signed=True)} {unit}."
    )
    axes = figure.subplots()
    axes.axhline(0, color=QUIET, linewidth=0.7)
    _points(axes, middle, errors, colour)
    lines = (
        (volume.bias_ml, "bias", "-"),
        (volume.lower_limit_ml, "\N{MINUS SIGN}1.96 SD", "--"),
        (volume.upper_limit_ml, "+1.96 SD", "--"),
    )
    for value, text, style in lines:
        if math.isfinite(value):
            axes.axhline(value, color=INK, linewidth=1, linestyle=style)
            axes.annotate(
                f"{text}: {value:+.3g}".replace("-", "\N{MINUS SIGN}"),
                (1, value),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                fontsize=7,
                bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            )
    axes.set_title(f"{name}: agreement of volumes")
    axes.set_xlabel(f"mean of both, {unit}")
    axes.set_ylabel(f"predicted minus reference, {unit}")
    return figure


@chart
def reliability_figure(
    reliability: Mapping[str, Reliability], colours: Mapping[str, str]
) -> Figure:
    """Draw the reliability diagram: observed against predicted probability of voxels."""
    words = "; ".join(
        f"{shown_name(name)}: expected calibration error "
        f"{_figure(bins.expected_calibration_error, 3)}"
        for name, bins in reliability.items()
    )
    figure = new_figure(f"Reliability of the probabilities. {words}.")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9)
    for name, bins in reliability.items():
        voxels = np.array(bins.voxels, dtype=float)
        filled = voxels > 0
        axes.plot(
            np.array(bins.probability)[filled] / voxels[filled],
            np.array(bins.positives)[filled] / voxels[filled],
            "o-",
            color=colours[name],
            markersize=4,
            markeredgecolor=QUIET,
            markeredgewidth=0.5,
            linewidth=1.3,
            label=f"{shown_name(name)}, error {_figure(bins.expected_calibration_error, 3)}",
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("observed frequency")
    axes.legend(loc="upper left")
    return figure


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shown_name(name) for name in names])
    axes.set_ylim(len(names) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _draw_box(axes: Axes, values: Sequence[float], place: int, colour: str, *, many: bool) -> None:
    axes.boxplot(
        values,
        positions=[place],
        orientation="horizontal",
        widths=0.5,
        showfliers=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "alpha": 0.3, "edgecolor": INK, "linewidth": 0.8},
        medianprops={"color": INK, "linewidth": 1.3},
        whiskerprops={"color": INK, "linewidth": 0.8},
        capprops={"color": INK, "linewidth": 0.8},
    )
    # Golden-ratio jitter: even and reproducible.
    jittered = place + 0.4 * ((np.arange(len(values)) * _GOLDEN) % 1 - 0.5)
    _points(axes, values, jittered.tolist(), colour, many=many)


def _draw_mean(axes: Axes, item: Distribution, place: int) -> None:
    if math.isfinite(item.low):
        axes.plot([item.low, item.high], [place - 0.36] * 2, color=INK, linewidth=2)
    axes.plot([item.mean], [place - 0.36], "D", color=INK, markersize=4, markeredgecolor=PAPER)


def _points(
    axes: Axes,
    across: Sequence[float],
    up: Sequence[float],
    colour: str,
    *,
    many: bool | None = None,
) -> None:
    axes.plot(
        across,
        up,
        "o",
        color=colour,
        markersize=3.2,
        markeredgecolor=QUIET,
        markeredgewidth=0.4,
        alpha=0.85,
        rasterized=len(across) > _MAX_POINTS if many is None else many,
    )


def _measured(scores: Sequence[Score], structure: str) -> list[Score]:
    """Rows with a predicted or a reference volume."""
    return [
        score
        for score in scores
        if score.structure == structure and (score.predicted_ml or score.reference_ml)
    ]


def _in_words(name: str, item: Distribution, metric: Metric) -> str:
    if not item.count:
        return f"{shown_name(name)}: never defined"
    text = f"{shown_name(name)}: median {_figure(item.median, metric.digits)}"
    quartiles = f"{_figure(item.lower_quartile, metric.digits)} to "
    return f"{text}, quartiles {quartiles}{_figure(item.upper_quartile, metric.digits)}"


def _with_unit(metric: Metric) -> str:
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def _figure(value: float, digits: int) -> str:
    return "undefined" if math.isnan(value) else f"{value:.{digits}f}"
