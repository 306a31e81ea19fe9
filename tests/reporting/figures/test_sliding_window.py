"""Windows are drawn where they lie, the patient's right on the left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from slicewise.imaging.structures import structures_of
from slicewise.reporting.figures.sliding_window import draw_tiles, tiles_figure
from slicewise.segmentation.tiles import Tile, TiledSlice

STRUCTURES = structures_of({"left": 1, "front": 2}, {})


def a_slice() -> TiledSlice:
    """12 x 9 pixels, brighter towards the patient's right (or front) and upwards."""
    rows, columns = np.mgrid[:12, :9]
    picture = (rows * 10 + columns).astype(np.float32)
    probabilities = torch.zeros(3, 12, 9)
    probabilities[0] = 0.5
    probabilities[1, 1:3, 2:4] = 1
    tiles = tuple(
        Tile(top, left, probabilities[:, top : top + 8, left : left + 6])
        for top in (0, 4)
        for left in (0, 3)
    )
    weights = np.full((8, 6), 1, dtype=np.float32)
    return TiledSlice(picture, (1.5, 2.0), tiles, weights, probabilities)


def test_rectangles_lie_around_their_pixels() -> None:
    sliced = a_slice()
    whole, _, _ = tiles_figure(sliced, STRUCTURES).axes
    (image,) = whole.images
    seen = np.asarray(image.get_array())[..., 0]
    assert seen.shape == (9, 12)
    assert len(whole.patches) == len(sliced.tiles)
    for tile, patch in zip(sliced.tiles, whole.patches, strict=True):
        # Outlines are drawn inside of each other; their middle is that of the window.
        x, y = patch.get_bbox().get_points().mean(axis=0) + 0.5
        shown = seen[round(y - 3) : round(y + 3), round(x - 4) : round(x + 4)]
        own = sliced.picture[tile.top : tile.top + 8, tile.left : tile.left + 6]
        # The order of brightness tells the pixels apart, whatever the window.
        assert shown.max() == seen.flat[np.abs(_seen(sliced) - own.max()).argmin()]
        assert shown.min() == seen.flat[np.abs(_seen(sliced) - own.min()).argmin()]


def _seen(sliced: TiledSlice) -> np.ndarray:
    """The picture by hand: up is up, and left and right, or front and back, are mirrored."""
    return np.fliplr(np.flipud(sliced.picture.T))


def test_proportions_and_colours() -> None:
    whole, apart, together = tiles_figure(a_slice(), STRUCTURES).axes
    assert whole.get_aspect() == pytest.approx(2.0 / 1.5)
    assert len(apart.images) == 4
    (image,) = together.images
    picture = np.asarray(image.get_array())
    coloured = np.ptp(picture, axis=-1) > 0.05
    # Rows 1 and 2 of 12 are the patient's left, so on the right; columns 2 and 3 of 9 lie low.
    assert sorted(set(np.argwhere(coloured)[:, 0])) == [5, 6]
    assert sorted(set(np.argwhere(coloured)[:, 1])) == [9, 10]


def test_picture_is_written(tmp_path: Path) -> None:
    draw_tiles(a_slice(), STRUCTURES, tmp_path / "new" / "windows.png")
    with Image.open(tmp_path / "new" / "windows.png") as picture:
        assert picture.size[0] > 1000
