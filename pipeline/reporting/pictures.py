"""Scans with their masks in, one PNG out: a row a case, seen as radiologists do."""

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

from pipeline.imaging.files import atomic_file
from pipeline.imaging.structures import COLOURS
from pipeline.imaging.volume import Volume

_OPACITY = 0.55
_DARK = "#14171c"
_LIGHT = "#e8eaed"
# What is left and right, bottom and top, in a picture of the plane across each RAS axis.
_BORDERS = {0: ("P", "A", "I", "S"), 1: ("R", "L", "I", "S"), 2: ("R", "L", "P", "A")}


@dataclass(frozen=True)
class Example:
    """One row of the picture.

    Attributes:
        title: what stands beside it.
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

    Axial and coronal slices have the patient's right on the left; L and R stand at the borders.

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
    index = _fullest_slice((reference or mask).voxels, axis)
    picture = _windowed(_plane(scan.voxels, axis, index))
    height_mm, width_mm = (scan.spacing_mm[other] for other in _in_plane(axis)[::-1])
    panels: list[tuple[str, Volume | None]] = [("scan", None)]
    if reference is not None:
        panels.append(("reference", reference))
    panels.append(("prediction", mask))
    for axes, (name, overlay) in zip(row, panels, strict=False):
        shown = np.repeat(picture[..., None], 3, axis=-1)  # (H, W, 3)
        if overlay is not None:
            shown = _overlaid(shown, _plane(overlay.voxels, axis, index), labels)
        axes.imshow(shown, origin="lower", aspect=height_mm / width_mm, interpolation="nearest")
        axes.set_title(name, color=_LIGHT, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        _mark_borders(axes, axis)
    row[0].set_ylabel(example.title, color=_LIGHT, fontsize=8)
    for axes in row[len(panels) :]:
        axes.set_axis_off()


def _in_plane(axis: int) -> tuple[int, int]:
    first, second = (other for other in range(3) if other != axis)
    return first, second


def _plane(voxels: NDArray[Any], axis: int, index: int) -> NDArray[Any]:
    """One slice as rows from bottom to top, shape (H, W), in radiological convention."""
    picture: NDArray[Any] = np.take(voxels, index, axis).T
    # Radiologists face the patient: the right side is on the left.
    return picture if axis == 0 else picture[:, ::-1]


def _fullest_slice(label: NDArray[Any], axis: int) -> int:
    others = _in_plane(axis)
    areas = np.count_nonzero(label, axis=others)
    return int(areas.argmax()) if areas.any() else label.shape[axis] // 2


def _windowed(picture: NDArray[Any]) -> NDArray[np.float64]:
    low, high = np.percentile(picture, (1, 99))
    windowed: NDArray[np.float64] = np.clip((picture - low) / max(high - low, 1e-9), 0, 1)
    return windowed


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
    left, right, bottom, top = _BORDERS[axis]
    for x, y, text in (
        (0.03, 0.5, left),
        (0.97, 0.5, right),
        (0.5, 0.03, bottom),
        (0.5, 0.97, top),
    ):
        axes.text(
            x, y, text, color=_LIGHT, fontsize=7, transform=axes.transAxes, ha="center", va="center"
        )
