"""The figure of example masks: scan, reference and prediction of a few cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from slicewise.imaging.files import atomic_file
from slicewise.imaging.structures import COLOURS
from slicewise.imaging.volume import Volume
from slicewise.reporting.slice_images import (
    ORIENTATION_LETTERS,
    grey_levels,
    has_orientation,
    in_plane,
    largest_slice,
    slice_rows,
)

_OPACITY = 0.55
_DARK = "#14171c"
_LIGHT = "#e8eaed"
_WINDOW_PERCENTILES = (1.0, 99.0)


@dataclass(frozen=True)
class Example:
    """One row of the picture.

    Attributes:
        title: label of the row.
        scan: intensities.
        mask: predicted label values on the same grid.
        reference: the label map as delivered, where there is one.
    """

    title: str
    scan: Volume
    mask: Volume
    reference: Volume | None = None


def draw_examples(
    examples: Sequence[Example], labels: Mapping[str, int], path: Path, note: str = ""
) -> None:
    """Draw the slice with most of the structures of each example.

    Axial and coronal slices have the patient's right on the left; L and R stand at the borders,
    unless the scan is a plain picture, which has no sides.

    Args:
        examples: rows.
        labels: structure name to value, in the order of the colours.
        path: PNG.
        note: a line below, such as where the scans come from.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = 3 if any(example.reference for example in examples) else 2
    figure = Figure(
        figsize=(3.2 * columns, 3.0 * len(examples) + 0.9), facecolor=_DARK, layout="constrained"
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(examples), columns, squeeze=False)
    for row, example in zip(grid, examples, strict=True):
        _draw_row(row, example, labels)
    handles = [
        Patch(color=COLOURS[index % len(COLOURS)], label=name.replace("_", " "))
        for index, name in enumerate(labels)
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        labelcolor=_LIGHT,
    )
    if note:
        figure.suptitle(note, color=_LIGHT, fontsize=9)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110, facecolor=_DARK, metadata={"Software": None})


def _draw_row(row: Sequence[Axes], example: Example, labels: Mapping[str, int]) -> None:
    scan, mask = example.scan.reoriented("RAS"), example.mask.reoriented("RAS")
    reference = example.reference.reoriented("RAS") if example.reference else None
    axis = scan.thickest_axis
    index = largest_slice((reference or mask).voxels, axis)
    picture = grey_levels(slice_rows(scan.voxels, axis, index), _WINDOW_PERCENTILES) / 255
    width_mm, height_mm = (scan.spacing_mm[other] for other in in_plane(axis))
    panels: list[tuple[str, Volume | None]] = [("scan", None)]
    if reference is not None:
        panels.append(("reference", reference))
    panels.append(("prediction", mask))
    for axes, (name, overlay) in zip(row, panels, strict=False):
        shown = np.repeat(picture[..., None], 3, axis=-1)  # (H, W, 3)
        if overlay is not None:
            shown = _overlaid(shown, slice_rows(overlay.voxels, axis, index), labels)
        axes.imshow(shown, origin="upper", aspect=height_mm / width_mm, interpolation="nearest")
        axes.set_title(name, color=_LIGHT, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        if has_orientation(example.scan):
            _mark_borders(axes, axis)
    row[0].set_ylabel(example.title, color=_LIGHT, fontsize=8)
    for axes in row[len(panels) :]:
        axes.set_axis_off()


def _overlaid(
    picture: NDArray[np.float64], label: NDArray[Any], labels: Mapping[str, int]
) -> NDArray[np.float64]:
    result = picture.copy()
    for index, value in enumerate(labels.values()):
        colour = np.array(to_rgb(COLOURS[index % len(COLOURS)]))
        inside = label == value
        result[inside] = (1 - _OPACITY) * result[inside] + _OPACITY * colour
    return result


def _mark_borders(axes: Axes, axis: int) -> None:
    left, right, bottom, top = ORIENTATION_LETTERS[axis]
    for x, y, text in (
        (0.03, 0.5, left),
        (0.97, 0.5, right),
        (0.5, 0.03, bottom),
        (0.5, 0.97, top),
    ):
        axes.text(
            x, y, text, color=_LIGHT, fontsize=7, transform=axes.transAxes, ha="center", va="center"
        )
