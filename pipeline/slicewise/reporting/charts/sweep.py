"""The chart of a sweep: validation Dice of the trials against each searched value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_COLOURS = {"complete": "#0072b2", "pruned": "#d55e00"}
_MAX_COLUMNS = 3


def draw_sweep(
    trials: Sequence[tuple[Mapping[str, Any], str, float | None]],
    log_keys: Collection[str],
    path: Path,
) -> None:
    """Draw a panel for each key, with the Dice of the trials against its values.

    Args:
        trials: values by key, ``complete`` or another state, mean Dice or None.
        log_keys: keys whose numbers are drawn on a logarithmic axis.
        path: PNG file.
    """
    keys = list(dict.fromkeys(key for values, _, _ in trials for key in values))
    columns = min(len(keys), _MAX_COLUMNS)
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for panel in panels:
        panel.set_axis_off()
    for key, panel in zip(keys, panels, strict=False):
        panel.set_axis_on()
        numbers = all(_is_number(values[key]) for values, _, _ in trials if key in values)
        for state, colour in _COLOURS.items():
            points = [
                (values[key] if numbers else str(values[key]), dice)
                for values, own, dice in trials
                if own == state and key in values and dice is not None
            ]
            if points:
                panel.scatter(*zip(*points, strict=True), color=colour, s=18, label=state)
        if key in log_keys:
            panel.set_xscale("log")
        panel.set_xlabel(key)
        panel.grid(alpha=0.3)
    figure.axes[0].set_ylabel("mean Dice, inner validation cases")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
