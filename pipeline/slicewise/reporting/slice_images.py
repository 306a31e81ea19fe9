"""Slices of a volume as images in radiological convention.

The patient's right is on the left of axial and coronal slices, anterior on the left of sagittal
ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from slicewise.imaging.pictures import NO_GEOMETRY
from slicewise.imaging.volume import Volume

# Left, right, bottom and top border of an image across each RAS axis.
ORIENTATION_LETTERS = (("A", "P", "I", "S"), ("R", "L", "I", "S"), ("R", "L", "P", "A"))
_LETTERS = "#ffffff"
_HALO = "#000000"
_MIN_PIXELS = 24


def slice_rows(voxels: NDArray[Any], axis: int, number: int) -> NDArray[Any]:
    """One slice of a RAS volume as rows from top to bottom, shape (H, W).

    Args:
        voxels: of a RAS volume, shape (X, Y, Z).
        axis: of ``PLANES``, across the slice.
        number: of the slice.
    """
    return as_image_rows(np.take(voxels, number, axis))


def as_image_rows(plane: NDArray[Any]) -> NDArray[Any]:
    """A plane across an axis of a RAS volume as rows from top to bottom, shape (H, W, ...).

    Radiologists face the patient, whose right side is on the left, and see the nose on the left
    from the side: every plane is mirrored.
    """
    rows: NDArray[Any] = plane.swapaxes(0, 1)[::-1, ::-1]
    return rows


def largest_slice(marked: NDArray[Any], axis: int) -> int:
    """Number of the slice with the largest marked area; the middle one if nothing is marked."""
    areas = np.count_nonzero(marked, axis=in_plane(axis))
    return int(areas.argmax()) if areas.any() else marked.shape[axis] // 2


def in_plane(axis: int) -> tuple[int, int]:
    """The axes of a slice: that of its columns, that of its rows."""
    first, second = (other for other in range(3) if other != axis)
    return first, second


def size_pixels(upright: Volume, axis: int, side: int) -> tuple[int, int]:
    """Width and height that give a slice of a RAS volume its true proportions.

    Args:
        upright: in RAS.
        axis: across the slice.
        side: the longer side, in pixels; a strip of a few slices stays visible.
    """
    width_mm, height_mm = (
        upright.shape[other] * upright.spacing_mm[other] for other in in_plane(axis)
    )
    scale = side / max(width_mm, height_mm)
    return max(round(width_mm * scale), _MIN_PIXELS), max(round(height_mm * scale), _MIN_PIXELS)


def grey_levels(rows: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.uint8]:
    """Intensities between two percentiles as grey levels; non-finite values count as 0."""
    values = np.nan_to_num(rows.astype(np.float64), posinf=0, neginf=0)
    low, high = np.percentile(values, percentiles)
    if high <= low:
        low, high = values.min(), max(values.max(), values.min() + 1)
    shades: NDArray[np.uint8] = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(
        np.uint8
    )
    return shades


def has_orientation(volume: Volume) -> bool:
    """Whether the anatomical orientation is known; a plain picture has none."""
    return NO_GEOMETRY not in volume.warnings


def draw_orientation_letters(picture: Image.Image, axis: int, letter_pixels: int) -> None:
    """Draw the anatomical directions at the borders, readable on black and white."""
    left, right, bottom, top = ORIENTATION_LETTERS[axis]
    width, height = picture.size
    font = ImageFont.load_default(letter_pixels)
    draw = ImageDraw.Draw(picture)
    for place, anchor, letter in (
        ((3, height / 2), "lm", left),
        ((width - 3, height / 2), "rm", right),
        ((width / 2, height - 3), "mb", bottom),
        ((width / 2, 3), "mt", top),
    ):
        draw.text(place, letter, _LETTERS, font, anchor=anchor, stroke_width=1, stroke_fill=_HALO)


def resized_labels(rows: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Nearest-neighbour resize of label values.

    Args:
        rows: shape (H, W).
        size: width and height in pixels.
    """
    width, height = size
    # The voxel in which the middle of each pixel lies.
    down = (2 * np.arange(height) + 1) * rows.shape[0] // (2 * height)
    across = (2 * np.arange(width) + 1) * rows.shape[1] // (2 * width)
    return rows[np.ix_(down, across)]


def eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Erosion by a cross of 3 x 3 pixels; outside of the image is background."""
    padded = np.pad(mask, 1)
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilation by a cross of 3 x 3 pixels."""
    padded = np.pad(mask, 1)
    return mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
