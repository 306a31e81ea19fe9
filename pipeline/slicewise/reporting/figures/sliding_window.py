"""The figure of sliding-window inference: windows, weighted predictions, blended result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from slicewise.imaging.files import atomic_file
from slicewise.imaging.structures import COLOURS, Structure
from slicewise.reporting.slice_images import as_image_rows
from slicewise.segmentation.tiles import Tile, TiledSlice

_DARK = "#14171c"
_LIGHT = "#e8eaed"
_OPACITY = 0.6
_MIN_LIGHT = 0.3
"""Brightness of pixels with a weight near 0, which stay visible."""
_GAP = 0.12
"""Gap between the drawn windows, as a fraction of a window."""


def draw_tiles(sliced: TiledSlice, structures: Sequence[Structure], path: Path) -> None:
    """Write ``tiles_figure`` as PNG.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = tiles_figure(sliced, structures)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, facecolor=_DARK, metadata={"Software": None})


def tiles_figure(sliced: TiledSlice, structures: Sequence[Structure]) -> Figure:
    """The windows of a slice, their weighted predictions, and the blended result.

    Radiological convention: the patient's right is on the left, or anterior of a sagittal slice.

    Args:
        sliced: a slice that is larger than its window.
        structures: in the order of the classes.
    """
    figure = Figure(figsize=(12.6, 4.6), facecolor=_DARK, layout="constrained")
    FigureCanvasAgg(figure)
    whole, tiles, blended = figure.subplots(1, 3)
    shown = _Drawing(sliced, structures)
    shown.windows(whole)
    shown.weighted_tiles(tiles)
    shown.result(blended)
    window = " x ".join(map(str, sliced.weights.shape))
    for axes, title in (
        (whole, f"1. {len(sliced.tiles)} overlapping windows of {window} pixels"),
        (tiles, "2. prediction of each window; brightness is its weight"),
        (blended, "3. weighted mean of the windows"),
    ):
        axes.set_title(title, color=_LIGHT, fontsize=10)
        axes.set_axis_off()
    return figure


class _Drawing:
    """The panels of one slice; rows and columns are those of the picture, from its top left."""

    def __init__(self, sliced: TiledSlice, structures: Sequence[Structure]) -> None:
        self.sliced = sliced
        self.colours = np.array(
            [(0, 0, 0), *(to_rgb(item.colour) for item in structures)], dtype=np.float64
        )
        low, high = np.percentile(sliced.picture, (1, 99.5))
        self.grey = np.clip((sliced.picture - low) / max(high - low, 1e-9), 0, 1)
        across_mm, up_mm = sliced.spacing_mm
        self.aspect = up_mm / across_mm

    def windows(self, axes: Axes) -> None:
        """The slice with the outline of each window."""
        self._show(axes, np.repeat(self.grey[..., None], 3, axis=-1))
        for number, tile in enumerate(self.sliced.tiles):
            top, left = self._corner(tile)
            width, height = self.sliced.weights.shape
            # Slightly inset, so that shared borders stay visible.
            inset = 0.6 * (number % len(COLOURS)) + 0.5
            axes.add_patch(
                Rectangle(
                    (left + inset - 0.5, top + inset - 0.5),
                    width - 2 * inset,
                    height - 2 * inset,
                    fill=False,
                    edgecolor=COLOURS[number % len(COLOURS)],
                    linewidth=1.6,
                )
            )

    def weighted_tiles(self, axes: Axes) -> None:
        """Each window, darker where its weight is smaller."""
        across, up = self.sliced.weights.shape
        corners = [self._corner(tile) for tile in self.sliced.tiles]
        tops, lefts = (sorted({corner[place] for corner in corners}) for place in (0, 1))
        for number, (tile, (top, left)) in enumerate(zip(self.sliced.tiles, corners, strict=True)):
            seen = self.grey[tile.top : tile.top + across, tile.left : tile.left + up]
            light = _MIN_LIGHT + (1 - _MIN_LIGHT) * self.sliced.weights[..., None]
            picture = self._coloured(seen, tile.classes) * light
            x = lefts.index(left) * across * (1 + _GAP)
            y = tops.index(top) * up * (1 + _GAP) * self.aspect
            extent = (x, x + across, y + up * self.aspect, y)
            axes.imshow(as_image_rows(picture), extent=extent, interpolation="nearest")
            frame = Rectangle((x, y), across, up * self.aspect, fill=False, linewidth=1.6)
            frame.set_edgecolor(COLOURS[number % len(COLOURS)])
            axes.add_patch(frame)
        margin = _GAP * across
        axes.set_xlim(-margin, len(lefts) * across * (1 + _GAP))
        axes.set_ylim(len(tops) * up * (1 + _GAP) * self.aspect, -margin)

    def result(self, axes: Axes) -> None:
        """The slice with the classes after the blending."""
        self._show(axes, self._coloured(self.grey, self.sliced.classes))

    def _coloured(self, grey: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.float64]:
        picture = np.repeat(grey[..., None], 3, axis=-1)  # (H, W, 3)
        inside = classes > 0
        picture[inside] *= 1 - _OPACITY
        picture[inside] += _OPACITY * self.colours[classes[inside]]
        return picture

    def _show(self, axes: Axes, picture: NDArray[Any]) -> None:
        axes.imshow(as_image_rows(picture), aspect=self.aspect, interpolation="nearest")

    def _corner(self, tile: Tile) -> tuple[int, int]:
        """Top and left of a window in the picture as it is seen."""
        across, up = self.sliced.weights.shape
        width, height = self.sliced.picture.shape
        return height - tile.left - up, width - tile.top - across
