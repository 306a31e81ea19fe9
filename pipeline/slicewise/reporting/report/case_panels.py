"""A scan with its prediction and reference in, pictures of where they agree and differ out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from slicewise.dataset.plane import PLANES
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.overlays import with_differences, with_outline
from slicewise.reporting.slice_images import (
    as_rows,
    eroded,
    fullest_slice,
    greys,
    has_sides,
    in_plane,
    letter_borders,
    picture_rows,
    resized_label,
    size_pixels,
)

PANEL_PIXELS = 420
MAP_PIXELS = 210
_MOST_BYTES = 60_000
"""Of a picture that is kept as it is; a larger one loses a little."""
_QUALITY = 85
_WINDOW_PERCENTILES = (0.5, 99.8)
_LETTER_PIXELS = 18
_MAP_LETTER_PIXELS = 13
_VOXEL_PIXELS = 3
"""Voxels that are drawn larger than this keep their edges."""
_MARGIN = 1.6
_SMALLEST_CUT = 0.15
_LARGEST_CUT = 0.7
_MAP_MARGIN = 0.15
_RIM_GREY = 150


@dataclass(frozen=True)
class ShownCase:
    """What is drawn of a case; all on one grid, axes in any order.

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
class Panel:
    """One picture.

    Attributes:
        caption: what it shows, to be read beside it.
        content: WebP.
        width: pixels.
        height: pixels.
    """

    caption: str
    content: bytes
    width: int
    height: int


@dataclass(frozen=True)
class CasePanels:
    """The pictures of a case.

    Attributes:
        case: its name.
        place: which slice is shown.
        panels: the scan, both outlines, the differences.
        maps: errors summed through the volume, across each axis; none without a reference.
    """

    case: str
    place: str
    panels: tuple[Panel, ...]
    maps: tuple[Panel, ...]


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
    chosen = ""
    if reference is not None:
        errors = np.not_equal(predicted, reference)
        maps = tuple(_maps(scan, errors, np.not_equal(reference, 0)))
        chosen = "with most errors" if by_errors and errors.any() else ""
    return CasePanels(
        case.name,
        f"{plane} {place.number + 1} of {scan.shape[place.axis]} {chosen}".rstrip(),
        tuple(_panels(case, scan, predicted, reference, place)),
        maps,
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
    telling = marked
    if by_errors and reference is not None and (predicted != reference).any():
        telling = predicted != reference
    number = fullest_slice(telling, axis)
    cut = _cut(picture_rows(marked, axis, number))
    return _Slice(
        axis,
        number,
        size_pixels(scan, axis, PANEL_PIXELS),
        cut or (slice(None), slice(None)),
        cut is None,
        has_sides(scan),
    )


def _cut(marked: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Rows and columns around what is marked, in the proportions of the slice; None for all."""
    if not marked.any():
        return None
    spans = [np.flatnonzero(marked.any(axis=other)) for other in (1, 0)]
    share = max(
        (span[-1] - span[0] + 1) / size for span, size in zip(spans, marked.shape, strict=True)
    )
    share = max(share * _MARGIN, _SMALLEST_CUT)
    if share > _LARGEST_CUT:
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
    grey = greys(picture_rows(scan.voxels, place.axis, place.number), _WINDOW_PERCENTILES)
    whole = _enlarged(grey, place.size)
    if not place.is_whole:
        whole = _framed(whole, grey.shape, place.cut)
    yield _panel("scan" if place.is_whole else "scan; the frame is enlarged", whole, place)
    picture = _enlarged(grey[place.cut], place.size)
    shown = picture_rows(predicted, place.axis, place.number)[place.cut]
    if reference is None:
        outlined = with_outline(picture, shown, case.structures, dashed=False)
        yield _panel("prediction", outlined, place)
        return
    true = picture_rows(reference, place.axis, place.number)[place.cut]
    outlined = with_outline(picture, true, case.structures, dashed=False)
    outlined = with_outline(outlined, shown, case.structures, dashed=True)
    yield _panel("reference solid, prediction dashed", outlined, place)
    yield _panel("differences", with_differences(picture, shown, true), place)


def _maps(scan: Volume, errors: NDArray[np.bool_], marked: NDArray[np.bool_]) -> Iterator[Panel]:
    """Millimetres of error along the line of sight, with the silhouette of the reference."""
    box = _box(errors | marked)
    errors, marked, scan = errors[box], marked[box], replace(scan, voxels=scan.voxels[box])
    sums = [errors.sum(axis=axis) * scan.spacing_mm[axis] for axis in range(3)]
    most_mm = max(float(each.max()) for each in sums)
    colours = mpl.colormaps["inferno"]
    for axis in (2, 1, 0):
        size = size_pixels(scan, axis, MAP_PIXELS)
        shares = resized_label(as_rows(sums[axis]), size) / max(most_mm, 1e-9)
        # A thin seam of errors is seen beside a thick one, too.
        pixels = np.rint(colours(np.sqrt(shares))[..., :3] * 255).astype(np.uint8)  # (H, W, 3)
        silhouette = resized_label(as_rows(np.any(marked, axis=axis)), size)
        pixels[silhouette & ~eroded(silhouette)] = _RIM_GREY
        picture = Image.fromarray(pixels)
        if has_sides(scan):
            letter_borders(picture, axis, _MAP_LETTER_PIXELS)
        yield _encoded(f"{PLANES[axis]}, up to {float(sums[axis].max()):.3g} mm", picture)


def _box(marked: NDArray[np.bool_]) -> tuple[slice, ...]:
    """Where something is marked, with a margin; everything where nothing is."""
    if not marked.any():
        return (slice(None),) * 3
    parts = []
    for axis, size in enumerate(marked.shape):
        found = np.flatnonzero(marked.any(axis=in_plane(axis)))
        margin = 1 + round(_MAP_MARGIN * (found[-1] - found[0] + 1))
        parts.append(slice(max(found[0] - margin, 0), min(found[-1] + margin + 1, size)))
    return tuple(parts)


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
        letter_borders(picture, place.axis, _LETTER_PIXELS)
    return _encoded(caption, picture)


def _encoded(caption: str, picture: Image.Image) -> Panel:
    """WebP without any loss where that stays small, as it does for few large voxels."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=True, method=4)
    if stream.tell() > _MOST_BYTES:
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=_QUALITY, method=4, use_sharp_yuv=True)
    return Panel(caption, stream.getvalue(), *picture.size)
