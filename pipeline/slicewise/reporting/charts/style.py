"""The common style of all charts: fonts, lines, colours and sizes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec

import matplotlib as mpl
from matplotlib.figure import Figure

CHART_INCHES = (4.0, 2.7)
"""Narrow, so that text stays readable on a narrow page."""

# Colours on paper; in a page they follow its light or dark scheme.
INK, QUIET, LINE, PAPER = "#1b1f24", "#5b6572", "#d9dee5", "#fefefe"
# Okabe and Ito: safe for colour-blind readers.
BETTER, WORSE = "#0072B2", "#D55E00"

# Any: matplotlib types the keys as one long literal.
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "figure.facecolor": "none",
    "figure.titlesize": 11,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
    "text.color": INK,
    # A name such as $x$ is no formula.
    "text.parse_math": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    # Letters stay letters: small, searchable, in the font of the page.
    "svg.fonttype": "none",
    "svg.hashsalt": "slicewise",
}
Arguments = ParamSpec("Arguments")


@contextmanager
def chart_style() -> Iterator[None]:
    """The style of all charts, for drawing and writing them."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may hold letters that the font lacks; in a page the browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def chart(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Make a function draw in the style of all charts."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **options: Arguments.kwargs) -> Figure:
        with chart_style():
            return draw(*arguments, **options)

    return drawn


def new_figure(
    words: str, width: float = CHART_INCHES[0], height: float = CHART_INCHES[1]
) -> Figure:
    """An empty figure.

    Args:
        words: description for screen readers.
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(words)
    return figure


def shown_name(name: str) -> str:
    """A structure's name with spaces."""
    return name.replace("_", " ")
