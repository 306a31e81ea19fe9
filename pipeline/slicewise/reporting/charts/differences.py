"""The chart of a comparison: how each case differs between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slicewise.reporting.charts.style import (
    BETTER,
    CHART_INCHES,
    INK,
    QUIET,
    WORSE,
    chart,
    new_figure,
    shown_name,
)

if TYPE_CHECKING:
    from slicewise.evaluation.comparison import RunComparison, StructureComparison


@chart
def differences_figure(comparison: RunComparison, columns: int = 1) -> Figure:
    """Draw how each case changed from the first run to the second, a panel a structure.

    Cases are sorted by their difference; the line is the mean, the band its 95 % interval.

    Args:
        comparison: of two runs.
        columns: panels in a row.
    """
    rows = -(-len(comparison.rows) // columns)
    words = "; ".join(_in_words(row, comparison) for row in comparison.rows)
    figure = new_figure(
        f"{comparison.metric.title} case by case, {comparison.second} minus {comparison.first}. "
        f"{words}.",
        CHART_INCHES[0] * columns,
        max(1.75 * rows + 0.4, CHART_INCHES[1]),
    )
    grid = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes, row in zip(grid, comparison.rows, strict=False):
        _draw_differences(axes, row, comparison)
    for axes in grid[len(comparison.rows) :]:
        axes.set_axis_off()
    unit = f" in {comparison.metric.unit}" if comparison.metric.unit else ""
    figure.supylabel(
        f"{comparison.metric.title}{unit}, {comparison.second} minus {comparison.first}", fontsize=8
    )
    return figure


def _draw_differences(axes: Axes, row: StructureComparison, comparison: RunComparison) -> None:
    values = sorted(row.differences.values(), reverse=True)
    colours = [_verdict(value, comparison.metric.better) for value in values]
    places = range(1, len(values) + 1)
    axes.bar(places, values, width=0.85, color=colours)
    axes.axhline(0, color=QUIET, linewidth=0.7)
    found = row.difference
    if found.low == found.low:
        axes.axhspan(found.low, found.high, color=QUIET, alpha=0.25, linewidth=0)
    if values:
        axes.axhline(found.mean, color=INK, linewidth=1.1)
    axes.set_title(_heading(row, comparison))
    axes.set_xticks([])
    axes.set_xlabel(f"{len(values)} cases, sorted")
    axes.grid(visible=False, axis="x")


def _verdict(difference: float, better: str) -> str:
    if better == "zero" or not difference:
        return QUIET
    return BETTER if (difference > 0) == (better == "higher") else WORSE


def _heading(row: StructureComparison, comparison: RunComparison) -> str:
    digits = comparison.metric.digits
    found = row.difference
    text = f"{shown_name(row.structure)}: {found.mean:+.{digits}f}"
    if found.low == found.low:
        text += f" ({found.low:+.{digits}f} to {found.high:+.{digits}f})"
    return text


def _in_words(row: StructureComparison, comparison: RunComparison) -> str:
    values = list(row.differences.values())
    verdicts = [_verdict(value, comparison.metric.better) for value in values]
    counts = (
        f"of {len(values)} cases {verdicts.count(BETTER)} better, {verdicts.count(WORSE)} worse"
    )
    return f"{_heading(row, comparison)}, {counts}"
