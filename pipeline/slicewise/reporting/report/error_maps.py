"""Error maps: millimetres of wrong voxels along each axis, with their colour bar."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from slicewise.dataset.plane import PLANES
from slicewise.imaging.volume import Volume
from slicewise.reporting.report.panels import Panel, encoded
from slicewise.reporting.slice_images import (
    as_image_rows,
    draw_orientation_letters,
    eroded,
    has_orientation,
    in_plane,
    resized_labels,
    size_pixels,
)

MAP_PIXELS = 210
_MAP_LETTER_PIXELS = 13
_MAP_MARGIN = 0.15
_RIM_GREY = 150
_BAR_PIXELS = (72, MAP_PIXELS)
"""Width and height of the colour bar with its numbers."""
_BAR_WIDTH, _BAR_MARGIN = 16, 10


def error_maps(
    scan: Volume, errors: NDArray[np.bool_], marked: NDArray[np.bool_]
) -> tuple[tuple[Panel, ...], Panel | None]:
    """Projected errors along each axis, and the colour bar that they share; None without errors.

    Args:
        scan: RAS volume.
        errors: wrong voxels, shape (X, Y, Z).
        marked: voxels of the reference, whose silhouette is drawn.
    """
    box = _box(errors | marked)
    errors, marked, scan = errors[box], marked[box], replace(scan, voxels=scan.voxels[box])
    sums = [errors.sum(axis=axis) * scan.spacing_mm[axis] for axis in range(3)]
    max_mm = max(float(each.max()) for each in sums)
    colours = mpl.colormaps["inferno"]
    maps = []
    for axis in (2, 1, 0):
        size = size_pixels(scan, axis, MAP_PIXELS)
        shares = resized_labels(as_image_rows(sums[axis]), size) / max(max_mm, 1e-9)
        # The square root keeps thin errors visible next to thick ones.
        pixels = np.rint(colours(np.sqrt(shares))[..., :3] * 255).astype(np.uint8)  # (H, W, 3)
        silhouette = resized_labels(as_image_rows(np.any(marked, axis=axis)), size)
        pixels[silhouette & ~eroded(silhouette)] = _RIM_GREY
        picture = Image.fromarray(pixels)
        if has_orientation(scan):
            draw_orientation_letters(picture, axis, _MAP_LETTER_PIXELS)
        maps.append(encoded(f"{PLANES[axis]}, up to {float(sums[axis].max()):.3g} mm", picture))
    return tuple(maps), colour_bar(max_mm) if max_mm else None


def colour_bar(max_mm: float) -> Panel:
    """The colours of the error maps, from 0 to the largest error in mm."""
    width, height = _BAR_PIXELS
    length = height - 2 * _BAR_MARGIN
    picture = Image.new("RGB", (width, height))
    shades = np.linspace(1, 0, length)[:, None].repeat(_BAR_WIDTH, axis=1)  # (H, W)
    colours = np.rint(mpl.colormaps["inferno"](shades)[..., :3] * 255).astype(np.uint8)
    picture.paste(Image.fromarray(colours), (_BAR_MARGIN, _BAR_MARGIN))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_MAP_LETTER_PIXELS)
    right = _BAR_MARGIN + _BAR_WIDTH
    draw.rectangle(
        (_BAR_MARGIN - 1, _BAR_MARGIN - 1, right, _BAR_MARGIN + length), outline=(_RIM_GREY,) * 3
    )
    # Colours follow the square root, so that a quarter of the largest error stands in the middle.
    for share in (0.0, 0.25, 1.0):
        level = _BAR_MARGIN + round((1 - np.sqrt(share)) * (length - 1))
        draw.line((right, level, right + 4, level), fill="white")
        draw.text((right + 7, level), f"{share * max_mm:.3g}", "white", font, anchor="lm")
    return encoded("error in mm", picture)


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
