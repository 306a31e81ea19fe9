"""The figure of a U-Net: levels, channels, sizes and skip connections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle

from slicewise.imaging.files import atomic_file
from slicewise.reporting.charts.style import INK, PAPER, QUIET
from slicewise.segmentation.architecture import LayerRow

FORMATS = (".svg", ".png")

# One unit of the drawing is one inch on paper.
_CONVOLUTION_GAP = 0.62
_BOTTLENECK_GAP = 1.25  # leaves room for the lowest skip connection
_LEVEL_GAP = 0.7
_NUMBER_HEIGHT = 0.22
_MARGIN = 0.25
_LEFT_EDGE, _TOP_EDGE = -1.0, 0.75
_LEGEND_WIDTH = 2.95
_LEGEND_HEIGHT = 0.95

_ENCODER = "#4c78a8"
_BOTTLENECK = "#4a62a0"
_DECODER = "#59a14f"
_SKIPPED = "#b8cce0"
_ENDS = "#9a9a9a"
_STEPS = {
    "double convolution": (INK, "2 x (3x3 convolution, normalisation, activation)"),
    "max pool": ("#c44e52", "max pool 2"),
    "transposed": ("#3b7a32", "transposed convolution 2x2"),
    "skip": ("#8c8c8c", "skip: copy and concatenate"),
    "1x1 convolution": ("#8172b2", "1x1 convolution"),
}


@dataclass(frozen=True)
class _Box:
    """A feature map: its left edge, its middle height, its size, and its colour."""

    left: float
    middle: float
    width: float
    height: float
    color: str

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def top(self) -> float:
        return self.middle + self.height / 2

    @property
    def bottom(self) -> float:
        return self.middle - self.height / 2

    @property
    def center(self) -> float:
        return self.left + self.width / 2


@dataclass(frozen=True)
class _Scale:
    """How large a feature map is drawn, by its channels and its level."""

    most_channels: int

    def width(self, channels: int) -> float:
        return 0.12 + 0.6 * math.sqrt(channels / self.most_channels)

    def height(self, level: int) -> float:
        return 0.4 + 1.1 * 0.62**level

    def middle(self, level: int) -> float:
        above = sum(self.height(other) + _LEVEL_GAP for other in range(level))
        return -above - self.height(level) / 2

    def box(self, left: float, level: int, channels: int, color: str) -> _Box:
        width, height = self.width(channels), self.height(level)
        return _Box(left, self.middle(level), width, height, color)


def draw_architecture(rows: Sequence[LayerRow], in_channels: int, path: Path) -> None:
    """Draw a U-Net with channels, sizes and connections; the same table gives the same bytes.

    Args:
        rows: layer table of ``describe_layers``.
        in_channels: channels of the input.
        path: file to write; its suffix, one of ``FORMATS``, decides the format.

    Raises:
        OutputError: the file cannot be written.
    """
    undated = {"Date": None} if path.suffix.lower() == ".svg" else None
    # Letters stay text in the SVG: small, searchable, and read aloud by screen readers.
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "slicewise"}),
        atomic_file(path) as temporary,
    ):
        architecture_figure(rows, in_channels).savefig(temporary, dpi=160, metadata=undated)


def architecture_figure(rows: Sequence[LayerRow], in_channels: int) -> Figure:
    """A U-Net as a figure, in colours that follow the light or dark scheme of a page.

    Args:
        rows: layer table of ``describe_layers``.
        in_channels: channels of the input.
    """
    figure = Figure(facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    levels = [row for row in rows if row.name.startswith(("downs.", "bottleneck"))]
    scale = _Scale(max(row.shape[0] for row in rows))

    outer = _draw_left_arm(axes, scale, levels, in_channels)
    last = _draw_right_arm(axes, scale, levels, outer)
    right = _draw_output(axes, scale, rows[-1], last)

    bottom = outer[-1].bottom - _MARGIN
    if right - outer[-1].right < _LEGEND_WIDTH:
        bottom -= _LEGEND_HEIGHT
    axes.set_xlim(_LEFT_EDGE, right + _MARGIN)
    axes.set_ylim(bottom, _TOP_EDGE)
    figure.set_size_inches(right + _MARGIN - _LEFT_EDGE, _TOP_EDGE - bottom)
    parameters = sum(row.parameters for row in rows)
    figure.set_label(
        f"The network: a U-Net of {len(levels) - 1} levels and a bottleneck of "
        f"{levels[-1].shape[0]} channels, {parameters:,} parameters."
    )
    _write(axes, ((outer[0].right + last.left) / 2, 0.4), f"U-Net, {parameters:,} parameters", 12)
    _draw_legend(axes)
    return figure


def _draw_left_arm(
    axes: Axes, scale: _Scale, levels: Sequence[LayerRow], in_channels: int
) -> list[_Box]:
    """Draw input, contracting path and bottleneck; return the last box of each level."""
    outer: list[_Box] = []
    channels, left = in_channels, 0.0
    for level, row in enumerate(levels):
        entry_color = _ENDS if level == 0 else _ENCODER
        entry = scale.box(left, level, channels, entry_color)
        _draw_box(axes, entry, str(channels))
        if level == 0:
            _name(axes, entry, "input")
        else:
            _pooling(axes, outer[-1], entry)
        _size(axes, entry, row)
        channels = row.shape[0]
        lowest = row.name == "bottleneck"
        gap, color = (_BOTTLENECK_GAP, _BOTTLENECK) if lowest else (_CONVOLUTION_GAP, _ENCODER)
        box = scale.box(entry.right + gap, level, channels, color)
        _draw_box(axes, box, str(channels))
        _sideways(axes, entry, box, "double convolution")
        outer.append(box)
        left = box.left
    return outer


def _draw_right_arm(
    axes: Axes, scale: _Scale, levels: Sequence[LayerRow], outer: Sequence[_Box]
) -> _Box:
    """Draw the expanding path upwards from the bottleneck; return the last box of the top."""
    below = outer[-1]
    for level in reversed(range(len(levels) - 1)):
        channels = levels[level].shape[0]
        width = scale.width(channels)
        # The half that comes from below stands straight above its origin.
        raised = scale.box(below.center - width / 2, level, channels, _DECODER)
        skipped = scale.box(raised.left - width, level, channels, _SKIPPED)
        _draw_box(axes, raised)
        _draw_box(axes, skipped)
        _number(axes, raised.left, raised.top, f"{channels} + {channels}")
        _raising(axes, below, raised)
        _sideways(axes, outer[level], skipped, "skip")
        _write(axes, ((outer[level].right + skipped.left) / 2, raised.middle + 0.1), "skip")
        below = scale.box(raised.right + _CONVOLUTION_GAP, level, channels, _DECODER)
        _draw_box(axes, below, str(channels))
        _sideways(axes, raised, below, "double convolution")
    return below


def _draw_output(axes: Axes, scale: _Scale, final: LayerRow, last: _Box) -> float:
    """Draw the logits next to the last box; return their right edge."""
    box = scale.box(last.right + _CONVOLUTION_GAP, 0, final.shape[0], _ENDS)
    _draw_box(axes, box, str(final.shape[0]))
    _name(axes, box, "output")
    _sideways(axes, last, box, "1x1 convolution")
    return box.right


def _draw_box(axes: Axes, box: _Box, number: str | None = None) -> None:
    axes.add_patch(
        Rectangle(
            (box.left, box.bottom),
            box.width,
            box.height,
            facecolor=box.color,
            edgecolor=PAPER,
            linewidth=1,
        )
    )
    if number is not None:
        _number(axes, box.center, box.top, number)


def _number(axes: Axes, x: float, top: float, text: str) -> None:
    _write(axes, (x, top + 0.12), text, 9)


def _name(axes: Axes, box: _Box, text: str) -> None:
    _write(axes, (box.center, box.top + 0.36), text, 10, weight="bold")


def _size(axes: Axes, entry: _Box, row: LayerRow) -> None:
    _, height, width = row.shape
    _write(axes, (entry.left - 0.1, entry.middle), f"{height} x {width}", side="right")


def _sideways(axes: Axes, start: _Box, end: _Box, step: str) -> None:
    _arrow(axes, (start.right, start.middle), (end.left, end.middle), step)


def _pooling(axes: Axes, above: _Box, entry: _Box) -> None:
    tip = entry.top + _NUMBER_HEIGHT
    _arrow(axes, (entry.center, above.bottom), (entry.center, tip), "max pool")
    _write(axes, (entry.center - 0.1, (above.bottom + tip) / 2), "max pool 2", side="right")


def _raising(axes: Axes, below: _Box, raised: _Box) -> None:
    start = below.top + _NUMBER_HEIGHT
    _arrow(axes, (below.center, start), (below.center, raised.bottom), "transposed")
    _write(axes, (below.center + 0.1, (start + raised.bottom) / 2), "transposed conv", side="left")


def _write(
    axes: Axes,
    place: tuple[float, float],
    text: str,
    size: int = 8,
    *,
    side: str = "center",
    weight: str = "normal",
) -> None:
    color = QUIET if size == 8 else INK
    axes.text(*place, text, ha=side, va="center", fontsize=size, fontweight=weight, color=color)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], step: str) -> None:
    color, _ = _STEPS[step]
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=2,
            shrinkB=2,
            color=color,
            linewidth=1.4,
            linestyle="--" if step == "skip" else "-",
        )
    )


def _draw_legend(axes: Axes) -> None:
    handles = [
        Line2D([], [], color=color, linewidth=2, linestyle="--" if step == "skip" else "-")
        for step, (color, _) in _STEPS.items()
    ]
    axes.legend(
        handles,
        [text for _, text in _STEPS.values()],
        loc="lower right",
        fontsize=8,
        frameon=False,
        labelcolor=INK,
    )
