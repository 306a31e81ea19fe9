"""A scan and its label in, one small picture of its most telling slice out, as radiologists see it.

Nothing heavy is imported here: workers draw while they hold a scan.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.imaging.structures import COLOURS, Structure
from pipeline.imaging.volume import Volume

SIDE_PIXELS = 240
"""Longer side of a picture."""
MOST_BYTES = 6144
"""Size that the quality is lowered for."""
_QUALITIES = (80, 65, 50, 35, 20)
_WINDOW_PERCENTILES = (1.0, 99.8)
_NAMES = ("sagittal", "coronal", "axial")
# What is left, right, bottom and top in a picture of the plane across each RAS axis.
_BORDERS = (("P", "A", "I", "S"), ("R", "L", "I", "S"), ("R", "L", "P", "A"))
_LETTERS = "#ffffff"
_HALO = "#000000"
_LETTER_PIXELS = 13


@dataclass(frozen=True)
class Thumbnail:
    """A picture and what it shows.

    Attributes:
        content: WebP.
        width: pixels.
        height: pixels.
        plane: sagittal, coronal or axial.
        slice_number: from 1, counted to the left, to the front or upwards.
        slice_count: slices of that plane.
    """

    content: bytes
    width: int
    height: int
    plane: str
    slice_number: int
    slice_count: int


def draw_thumbnail(
    scan: Volume, label: Volume | None, plane: str, colours: Mapping[int, str]
) -> Thumbnail:
    """Draw the slice with the largest labelled area, or the middle one; outlines in colour.

    Axial and coronal slices have the patient's right on the left. A pixel is as wide as it is
    high: the proportions are those of the body.

    Args:
        scan: intensities.
        label: label map on the grid of the scan, in any order of axes.
        plane: sagittal, coronal or axial.
        colours: #rrggbb of each label value; values without one are not outlined.
    """
    axis = _NAMES.index(plane)
    upright = scan.reoriented("RAS")
    marked = None if label is None else label.reoriented("RAS").voxels
    number = _telling_slice(marked, axis, upright.shape[axis])
    size = _pixels(upright, axis)
    grey = _windowed(_seen(upright.voxels, axis, number))
    picture = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if marked is not None:
        picture = _outlined(picture, _seen(marked, axis, number), colours)
    _letter(picture, axis)
    return Thumbnail(_encoded(picture), *size, plane, number + 1, upright.shape[axis])


def outline_colours(values: Iterable[int], structures: Sequence[Structure]) -> dict[int, str]:
    """A colour for each label value: the structure's own, or one that its number chooses."""
    named = {structure.value: structure.colour for structure in structures}
    return {
        value: named.get(value, COLOURS[(value - 1) % len(COLOURS)]) for value in sorted(values)
    }


def _telling_slice(label: NDArray[Any] | None, axis: int, count: int) -> int:
    if label is not None:
        others = tuple(other for other in range(3) if other != axis)
        areas = np.count_nonzero(label, axis=others)
        if areas.any():
            return int(areas.argmax())
    return count // 2


def _seen(voxels: NDArray[Any], axis: int, number: int) -> NDArray[Any]:
    """One slice of a RAS volume as rows from top to bottom, shape (H, W)."""
    rows: NDArray[Any] = np.take(voxels, number, axis).T[::-1]
    # Radiologists face the patient: the right side is on the left.
    return rows if axis == 0 else rows[:, ::-1]


def _pixels(scan: Volume, axis: int) -> tuple[int, int]:
    """Width and height that give the slice its true proportions."""
    width_mm, height_mm = (
        scan.shape[other] * scan.spacing_mm[other] for other in range(3) if other != axis
    )
    scale = SIDE_PIXELS / max(width_mm, height_mm)
    # A strip of a few slices stays visible.
    return max(round(width_mm * scale), 24), max(round(height_mm * scale), 24)


def _windowed(slice_: NDArray[Any]) -> NDArray[np.uint8]:
    values = np.nan_to_num(slice_.astype(np.float64), posinf=0, neginf=0)
    low, high = np.percentile(values, _WINDOW_PERCENTILES)
    if high <= low:
        low, high = values.min(), max(values.max(), values.min() + 1)
    grey: NDArray[np.uint8] = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(
        np.uint8
    )
    return grey


def _outlined(picture: Image.Image, label: NDArray[Any], colours: Mapping[int, str]) -> Image.Image:
    """Draw the border of each structure, voxel by voxel: nothing is smoothed away."""
    pixels = np.array(picture)  # (H, W, 3)
    for value, colour in colours.items():
        inside = Image.fromarray((label == value).astype(np.uint8))
        mask = np.asarray(inside.resize(picture.size, Image.Resampling.NEAREST)).astype(bool)
        pixels[mask & ~_eroded(_eroded(mask))] = _rgb(colour)
    return Image.fromarray(pixels)


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are inside, too; the border of the picture counts as outside."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _letter(picture: Image.Image, axis: int) -> None:
    left, right, bottom, top = _BORDERS[axis]
    width, height = picture.size
    font = ImageFont.load_default(_LETTER_PIXELS)
    draw = ImageDraw.Draw(picture)
    for place, anchor, letter in (
        ((3, height / 2), "lm", left),
        ((width - 3, height / 2), "rm", right),
        ((width / 2, height - 3), "mb", bottom),
        ((width / 2, 3), "mt", top),
    ):
        draw.text(place, letter, _LETTERS, font, anchor=anchor, stroke_width=1, stroke_fill=_HALO)


def _encoded(picture: Image.Image) -> bytes:
    """WebP at the best quality that stays small."""
    content = b""
    for quality in _QUALITIES:
        stream = io.BytesIO()
        picture.save(stream, "WEBP", quality=quality, method=6, use_sharp_yuv=True)
        content = stream.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return content
