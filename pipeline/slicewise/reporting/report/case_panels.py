"""Pictures of a case: scan, outlines, differences and error maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from slicewise.dataset.plane import PLANES
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.overlays import with_differences, with_outline
from slicewise.reporting.report.error_maps import error_maps
from slicewise.reporting.report.panels import Panel, encoded
from slicewise.reporting.slice_images import (
    draw_orientation_letters,
    grey_levels,
    has_orientation,
    largest_slice,
    size_pixels,
    slice_rows,
)

PANEL_PIXELS = 420
_WINDOW_PERCENTILES = (0.5, 99.8)
_LETTER_PIXELS = 18
_VOXEL_PIXELS = 3
"""Voxels that are drawn larger than this keep their edges."""
_MARGIN = 1.6
_MIN_CUT = 0.15
_MAX_CUT = 0.7


@dataclass(frozen=True)
class ShownCase:
    """A case to draw; all volumes share one grid, in any order of axes.

    Attributes:
        name: of the case.
        scan: intensities of its first contrast.
        predicted: label map.
        reference: label map, where there is one.
        structures: what the values mean.
    """

    name: str
    scan: Volume
    predicted: Volume
    reference: Volume | None
    structures: tuple[Structure, ...]


@dataclass(frozen=True)
class CasePanels:
    """The pictures of a case.

    Attributes:
        case: its name.
        place: which slice is shown.
        panels: the scan, both outlines, the differences.
        maps: projected errors along each axis; none without a reference.
        colour_bar: of the error maps, where there are any.
    """

    case: str
    place: str
    panels: tuple[Panel, ...]
    maps: tuple[Panel, ...]
    colour_bar: Panel | None = None


@dataclass(frozen=True)
class _Slice:
    """A slice, the part of it that is cut out, and the size of its picture."""

    axis: int
    number: int
    size: tuple[int, int]
    cut: tuple[slice, slice]
    is_whole: bool
    letters: bool


def draw_case(case: ShownCase, plane: str, *, by_errors: bool) -> CasePanels:
    """Draw a case as radiologists see it, in the proportions of the body.

    Where the structures are small, outlines and differences are cut out around them; the scan
    then shows the place of the cut.

    Args:
        case: what is drawn.
        plane: of the slices.
        by_errors: whether the slice with the most errors is shown, or that with the largest
            structures.
    """
    scan, predicted = case.scan.reoriented("RAS"), case.predicted.reoriented("RAS").voxels
    reference = None if case.reference is None else case.reference.reoriented("RAS").voxels
    place = _place(scan, predicted, reference, PLANES.index(plane), by_errors=by_errors)
    maps: tuple[Panel, ...] = ()
    colour_bar = None
    chosen = ""
    if reference is not None:
        errors = np.not_equal(predicted, reference)
        maps, colour_bar = error_maps(scan, errors, np.not_equal(reference, 0))
        chosen = "with most errors" if by_errors and errors.any() else ""
    return CasePanels(
        case.name,
        f"{plane} {place.number + 1} of {scan.shape[place.axis]} {chosen}".rstrip(),
        tuple(_panels(case, scan, predicted, reference, place)),
        maps,
        colour_bar,
    )


def _place(
    scan: Volume,
    predicted: NDArray[Any],
    reference: NDArray[Any] | None,
    axis: int,
    *,
    by_errors: bool,
) -> _Slice:
    marked = predicted != 0 if reference is None else (predicted != 0) | (reference != 0)
    shown_mask = marked
    if by_errors and reference is not None and (predicted != reference).any():
        shown_mask = predicted != reference
    number = largest_slice(shown_mask, axis)
    cut = _cut(slice_rows(marked, axis, number))
    return _Slice(
        axis,
        number,
        size_pixels(scan, axis, PANEL_PIXELS),
        cut or (slice(None), slice(None)),
        cut is None,
        has_orientation(scan),
    )


def _cut(marked: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns around what is marked, in the proportions of the slice; None for all."""
    if not marked.any():
        return None
    spans = [np.flatnonzero(marked.any(axis=other)) for other in (1, 0)]
    share = max(
        (span[-1] - span[0] + 1) / size for span, size in zip(spans, marked.shape, strict=True)
    )
    share = max(share * _MARGIN, _MIN_CUT)
    if share > _MAX_CUT:
        return None
    parts = []
    for span, size in zip(spans, marked.shape, strict=True):
        length = max(round(share * size), 1)
        start = round((span[0] + span[-1] + 1 - length) / 2)
        start = min(max(start, 0), size - length)
        parts.append(slice(start, start + length))
    return parts[0], parts[1]


def _panels(
    case: ShownCase,
    scan: Volume,
    predicted: NDArray[Any],
    reference: NDArray[Any] | None,
    place: _Slice,
) -> Iterator[Panel]:
    grey = grey_levels(slice_rows(scan.voxels, place.axis, place.number), _WINDOW_PERCENTILES)
    whole = _enlarged(grey, place.size)
    if not place.is_whole:
        whole = _framed(whole, grey.shape, place.cut)
    yield _panel("scan" if place.is_whole else "scan; the frame is enlarged", whole, place)
    picture = _enlarged(grey[place.cut], place.size)
    shown = slice_rows(predicted, place.axis, place.number)[place.cut]
    if reference is None:
        outlined = with_outline(picture, shown, case.structures, dashed=False)
        yield _panel("prediction", outlined, place)
        return
    true = slice_rows(reference, place.axis, place.number)[place.cut]
    outlined = with_outline(picture, true, case.structures, dashed=False)
    outlined = with_outline(outlined, shown, case.structures, dashed=True)
    yield _panel("reference solid, prediction dashed", outlined, place)
    yield _panel("differences", with_differences(picture, shown, true), place)


def _enlarged(grey: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    is_coarse = size[0] >= _VOXEL_PIXELS * grey.shape[1]
    how = Image.Resampling.NEAREST if is_coarse else Image.Resampling.BICUBIC
    return Image.fromarray(np.ascontiguousarray(grey)).resize(size, how).convert("RGB")


def _framed(picture: Image.Image, shape: tuple[int, ...], cut: tuple[slice, slice]) -> Image.Image:
    width, height = picture.size
    left, right = (cut[1].start * width / shape[1], cut[1].stop * width / shape[1] - 1)
    top, bottom = (cut[0].start * height / shape[0], cut[0].stop * height / shape[0] - 1)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline="black", width=4)
    draw.rectangle((left, top, right, bottom), outline="white", width=2)
    return picture


def _panel(caption: str, picture: Image.Image, place: _Slice) -> Panel:
    if place.letters:
        draw_orientation_letters(picture, place.axis, _LETTER_PIXELS)
    return encoded(caption, picture)
