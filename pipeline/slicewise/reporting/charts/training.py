"""Charts of training loss and validation Dice over the steps; folds share a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slicewise.reporting.charts.style import BETTER, INK, QUIET, chart, new_figure, shown_name

Losses = Sequence[tuple[int, float]]
Validations = Sequence[Mapping[str, float]]

_STYLES = ("-", "--", "-.", ":", (0, (1, 1)))
_MEAN = "mean"


@chart
def loss_figure(folds: Mapping[str, Losses]) -> Figure:
    """Draw the loss over the steps.

    Args:
        folds: fold name to steps with the mean loss since the previous row.
    """
    words = "; ".join(
        f"{name}: {rows[0][1]:.3g} at first, {rows[-1][1]:.3g} at step {rows[-1][0]}"
        for name, rows in folds.items()
    )
    figure = new_figure(f"Training loss over the steps. {words}.")
    axes = figure.subplots()
    for number, (name, rows) in enumerate(folds.items()):
        steps, losses = zip(*rows, strict=True)
        axes.plot(steps, losses, color=BETTER, linewidth=1.2, linestyle=_style(number), label=name)
    _finish(axes, "training loss", legend=len(folds) > 1)
    return figure


@chart
def validation_figure(folds: Mapping[str, Validations], colours: Mapping[str, str]) -> Figure:
    """Draw the Dice of whole volumes of the validation cases over the steps.

    Args:
        folds: name of each fold to its rows of step, mean Dice and Dice of each structure.
        colours: structure to #rrggbb.
    """
    words = "; ".join(
        f"{name}: {rows[-1][_MEAN]:.3f} at step {rows[-1]['step']:.0f}"
        for name, rows in folds.items()
    )
    figure = new_figure(f"Mean Dice of the validation cases during training. {words}.")
    axes = figure.subplots()
    for number, rows in enumerate(folds.values()):
        steps = [row["step"] for row in rows]
        style = _style(number)
        for name, colour in colours.items():
            axes.plot(
                steps,
                [row[name] for row in rows],
                color=colour,
                linestyle=style,
                linewidth=1.1,
                label=shown_name(name) if number == 0 else None,
            )
        axes.plot(
            steps,
            [row[_MEAN] for row in rows],
            "o",
            linestyle=style,
            color=INK,
            markersize=3,
            linewidth=1.4,
            label="mean" if number == 0 else None,
        )
    _finish(axes, "validation Dice", legend=True)
    return figure


def _style(number: int) -> str | tuple[int, tuple[int, int]]:
    return _STYLES[number % len(_STYLES)]


def _finish(axes: Axes, text: str, *, legend: bool) -> None:
    axes.set_xlabel("steps")
    axes.set_ylabel(text)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines["bottom"].set_color(QUIET)
    if legend:
        axes.legend()
