"""A comparison of two runs in, its chart out; and any chart in, a file or a part of a page out."""

from __future__ import annotations

import functools
import hashlib
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from slicewise.errors import OutputError
from slicewise.imaging.files import atomic_file

if TYPE_CHECKING:
    from slicewise.evaluation.comparison import RunComparison, StructureComparison

FORMATS = (".png", ".pdf", ".svg")
CHART_INCHES = (4.0, 2.7)
"""Narrow, so that letters stay readable where a page is."""

# On paper these are the colours; in a page they stand for those of its light or dark scheme.
INK, QUIET, LINE, PAPER = "#1b1f24", "#5b6572", "#d9dee5", "#fefefe"
_ROLES = {INK: "var(--ink)", QUIET: "var(--quiet)", LINE: "var(--line)", PAPER: "var(--card)"}
# Okabe and Ito: told apart by colour-blind eyes, too.
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
_METADATA = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".svg": {"Date": None, "Creator": None},
}
_DOTS_PER_INCH = 200
_NUMBERS = ("d", "x", "y", "transform")

Arguments = ParamSpec("Arguments")


@contextmanager
def chart_style() -> Iterator[None]:
    """Letters, lines and colours of every chart, while it is drawn and while it is written."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may hold letters that the font lacks; in a page the browser has them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def chart(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Make a function draw in the style of every chart."""

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
        words: what it shows, for those who do not see it.
        width: inches.
        height: inches.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.set_label(words)
    return figure


@chart
def differences_figure(comparison: RunComparison, columns: int = 1) -> Figure:
    """Draw how each case changed from the first run to the second, a panel a structure.

    Cases are sorted by their difference; the line is the mean, the band its 95 % interval.

    Args:
        comparison: of two runs.
        columns: panels beside each other.
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


def shown_name(name: str) -> str:
    """A structure's name as people write it."""
    return name.replace("_", " ")


def write_figure(figure: Figure, path: Path) -> None:
    """Write a chart on white; the same chart gives the same bytes.

    Args:
        figure: a chart.
        path: file to write; its suffix decides the format.

    Raises:
        OutputError: another suffix, or the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            path,
            expected=f"a file name that ends with one of {', '.join(FORMATS)}",
            found=f"suffix {path.suffix!r}",
            remedy="choose another name",
        )
    with chart_style(), atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=_DOTS_PER_INCH, facecolor="white", metadata=_METADATA[suffix])


def svg_of(figure: Figure) -> Markup:
    """A chart as an SVG element of a page, in the inks of the page's light or dark scheme.

    The page has the custom properties ``--ink``, ``--quiet``, ``--line`` and ``--card``. No two
    charts share an id. The element is an image whose label is the figure's.
    """
    stream = io.BytesIO()
    with chart_style():
        figure.savefig(stream, format="svg", facecolor="none", metadata=_METADATA[".svg"])
    root = ET.fromstring(stream.getvalue())
    mark = "c" + hashlib.sha256(stream.getvalue()).hexdigest()[:10]
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _in_page(name, value, mark)
            for name, value in element.attrib.items()
            # Groups are named for nobody.
            if not (name == "id" and element.tag == "g")
        }
        element.tail = None
    # Its style would hold for the whole page, which has the same rule for charts alone.
    for unused in [*root.findall("metadata"), *root.findall("defs[style]")]:
        root.remove(unused)
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "class": "chart",
        "role": "img",
        "aria-label": str(figure.get_label()),
    }
    # What a name contains was escaped when it was written as XML.
    return Markup(ET.tostring(root, encoding="unicode"))


def _in_page(name: str, value: str, mark: str) -> str:
    local = name.rpartition("}")[2]
    if local == "id":
        return f"{mark}-{value}"
    if local == "href":
        return value.replace("#", f"#{mark}-", 1)
    if local in _NUMBERS:
        return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", value)
    value = value.replace("url(#", f"url(#{mark}-")
    if local == "style":
        for colour, role in _ROLES.items():
            value = value.replace(colour, role)
    return value


def _draw_differences(axes: Axes, row: StructureComparison, comparison: RunComparison) -> None:
    values = sorted(row.differences.values(), reverse=True)
    colours = [_verdict(value, comparison.metric.better) for value in values]
    places = range(1, len(values) + 1)
    axes.bar(places, values, width=0.85, color=colours)
    axes.axhline(0, color=QUIET, linewidth=0.7)
    if row.low == row.low:
        axes.axhspan(row.low, row.high, color=QUIET, alpha=0.25, linewidth=0)
    if values:
        axes.axhline(row.difference, color=INK, linewidth=1.1)
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
    text = f"{shown_name(row.structure)}: {row.difference:+.{digits}f}"
    if row.low == row.low:
        text += f" ({row.low:+.{digits}f} to {row.high:+.{digits}f})"
    return text


def _in_words(row: StructureComparison, comparison: RunComparison) -> str:
    values = list(row.differences.values())
    verdicts = [_verdict(value, comparison.metric.better) for value in values]
    counts = (
        f"of {len(values)} cases {verdicts.count(BETTER)} better, {verdicts.count(WORSE)} worse"
    )
    return f"{_heading(row, comparison)}, {counts}"
