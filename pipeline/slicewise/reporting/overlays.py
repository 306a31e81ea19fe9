"""Overlays of label maps on a grey slice: outlines and differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicewise.imaging.structures import Structure
from slicewise.reporting.slice_images import dilated, eroded, resized_labels

AGREEMENT, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED = "#EEEEEE", "#DC267F", "#3D7DFF", "#FFC20A"
"""True positive, false positive, false negative, and wrong structure.

Safe for colour-blind readers, and different from the colours of structures.
"""
_OPACITY = 0.62
_OPACITY_OF_AGREEMENT = 0.4
_LINE_PIXELS = 2
_DASH_PIXELS = 5


def with_outline(
    picture: Image.Image, rows: NDArray[Any], structures: tuple[Structure, ...], *, dashed: bool
) -> Image.Image:
    """Draw the contour of each structure in its colour, just inside it, with a black rim.

    Args:
        picture: any size.
        rows: label values, shape (H, W).
        structures: what the values mean.
        dashed: whether the line has gaps that leave a line below visible.
    """
    pixels = np.array(picture)  # (H, W, 3)
    labels = resized_labels(rows, picture.size)
    down, across = np.indices(labels.shape)
    gaps = ((down + across) // _DASH_PIXELS) % 2 == 1
    for structure in structures:
        inside = labels == structure.value
        line, inner = inside, inside
        for _ in range(_LINE_PIXELS):
            inner = eroded(inner)
        line = inside & ~inner
        rim = dilated(inside) & (labels == 0)
        if dashed:
            line, rim = line & ~gaps, rim & ~gaps
        pixels[rim] = 0
        pixels[line] = structure.rgb
    return Image.fromarray(pixels)


def with_differences(
    picture: Image.Image, predicted: NDArray[Any], reference: NDArray[Any]
) -> Image.Image:
    """Colour where two label maps agree and how they differ.

    Args:
        picture: any size.
        predicted: label values, shape (H, W).
        reference: likewise.
    """
    shown, true = (resized_labels(rows, picture.size) for rows in (predicted, reference))
    kinds: Mapping[str, NDArray[np.bool_]] = {
        AGREEMENT: (shown == true) & (true != 0),
        FALSE_POSITIVE: (shown != 0) & (true == 0),
        FALSE_NEGATIVE: (shown == 0) & (true != 0),
        CONFUSED: (shown != true) & (shown != 0) & (true != 0),
    }
    pixels = np.array(picture).astype(np.float64)  # (H, W, 3)
    for colour, where in kinds.items():
        tint = np.array(tuple(bytes.fromhex(colour.removeprefix("#"))))
        share = _OPACITY_OF_AGREEMENT if colour == AGREEMENT else _OPACITY
        pixels[where] = (1 - share) * pixels[where] + share * tint
    return Image.fromarray(np.rint(pixels).astype(np.uint8))
