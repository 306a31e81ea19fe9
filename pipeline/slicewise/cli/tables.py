"""Results and scans set aside, as the terminal shows them; imports nothing slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from slicewise.cli.console import note, output, show, show_table
from slicewise.quantities import counted, figure

if TYPE_CHECKING:
    from slicewise.evaluation.statistics import Distribution, StructureSummary

SET_ASIDE = 8
"""Exit code of work that is done but for some scans."""
_LETTERS_OF_FIGURES = 56
_FEWEST_LETTERS = 16
_OTHER_METRICS = {"HD95": ("hd95_mm", 2), "surface Dice": ("surface_dice", 4)}
"""Title to the key of the metric, and the digits that are worth showing."""


def shortened(name: str) -> str:
    """A name that leaves room for the figures next to it; elsewhere it stands in full."""
    most = max(output.width - _LETTERS_OF_FIGURES, _FEWEST_LETTERS)
    if len(name) <= most:
        return name
    half = (most - 1) // 2
    return f"{name[:half]}…{name[-half:]}"


def grid_cells(shape: Sequence[int], spacing_mm: Sequence[float]) -> tuple[str, str]:
    """Voxels and their spacing along each axis, for a table; without a spacing it is unknown."""
    spacing = "x".join(f"{value:.3g}" for value in spacing_mm)
    return "x".join(map(str, shape)), spacing or "unknown"


def show_summary(title: str, summaries: Sequence[StructureSummary], overall: Distribution) -> None:
    """Print the table of results with its policy.

    Args:
        title: above the table.
        summaries: a row each.
        overall: mean Dice over the structures.
    """
    rows = [_summary_row(item) for item in summaries]
    unit = "px" if any(item.in_pixels for item in summaries) else "mm"
    columns = (
        "structure",
        "Dice",
        *(f"{title} {unit}" if title == "HD95" else title for title in _OTHER_METRICS),
        "cases",
        "false negative",
        "false positive",
        "empty",
    )
    show_table(
        title, columns, [*rows, ("mean", _with_interval(overall), *[""] * (len(columns) - 2))]
    )
    note(
        "Means over cases; in brackets their 95 % interval (patient-level "
        "bootstrap). False negatives and false positives count as 0 and have no distance; "
        "cases where both masks are empty are left out."
    )


def report_never_found(summaries: Sequence[StructureSummary]) -> None:
    """Name the structures that were found in no held-out case that has them, and what may help."""
    for item in summaries:
        having = item.cases - item.false_positive - item.undefined
        if 0 < having == item.false_negative:
            note(
                f"never found: {item.structure}, which {counted(having, 'held-out case')} had; "
                "more time (training.budget_minutes), more slices with it "
                "(training.foreground_fraction) or more patients may help"
            )


def show_places(places: Mapping[str, object]) -> None:
    """Print one line per place; what is empty is left out."""
    for name, place in places.items():
        if place:
            show(f"{name:>10}: {place}")


def _with_interval(item: Distribution) -> str:
    """A mean, and its interval where there is one."""
    interval = "" if item.low != item.low else f" [{figure(item.low)}, {figure(item.high)}]"
    return figure(item.mean) + interval


def _summary_row(item: StructureSummary) -> tuple[str, ...]:
    dice = _with_interval(item.metrics["dice"])
    others = (figure(item.metrics[key].mean, digits) for key, digits in _OTHER_METRICS.values())
    counts = (item.cases, item.false_negative, item.false_positive, item.undefined)
    return (item.structure, dice, *others, *map(str, counts))
