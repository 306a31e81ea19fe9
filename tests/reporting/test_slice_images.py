"""Rows, letters and grey_levels of a slice are those that a radiologist expects."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from slicewise.imaging.pictures import NO_GEOMETRY
from slicewise.imaging.volume import Volume
from slicewise.reporting.slice_images import (
    dilated,
    draw_orientation_letters,
    eroded,
    grey_levels,
    has_orientation,
    largest_slice,
    resized_labels,
    size_pixels,
    slice_rows,
)

SHAPE = (3, 4, 5)
SPACING_MM = (1.0, 1.5, 4.0)
SCAN = Volume(np.arange(60.0).reshape(SHAPE), np.diag([*SPACING_MM, 1.0]))


@pytest.mark.parametrize(
    # Indices (i, j, k) of a RAS volume at the left, right, bottom and top of the picture.
    ("axis", "top_left", "bottom_right", "shape"),
    [
        (0, (1, 3, 4), (1, 0, 0), (5, 4)),  # front on the left, back on the right
        (1, (2, 1, 4), (0, 1, 0), (5, 3)),  # the highest i is the patient's right
        (2, (2, 3, 1), (0, 0, 1), (4, 3)),
    ],
)
def test_rows_run_as_on_a_light_box(
    axis: int,
    top_left: tuple[int, int, int],
    bottom_right: tuple[int, int, int],
    shape: tuple[int, int],
) -> None:
    rows = slice_rows(SCAN.voxels, axis, 1)
    assert rows.shape == shape
    assert rows[0, 0] == SCAN.voxels[top_left]
    assert rows[-1, -1] == SCAN.voxels[bottom_right]


def test_the_fullest_slice() -> None:
    marked = np.zeros(SHAPE, bool)
    marked[0, :, 3] = True
    marked[2, 0, :2] = True
    assert [largest_slice(marked, axis) for axis in range(3)] == [0, 0, 3]
    assert [largest_slice(marked & False, axis) for axis in range(3)] == [1, 2, 2]


def test_sizes_have_true_proportions_and_a_least() -> None:
    # Sagittal: 6 mm to the front, 20 mm upwards.
    assert size_pixels(SCAN, 0, 200) == (60, 200)
    assert size_pixels(SCAN, 2, 200) == (100, 200)
    strip = Volume(np.zeros((100, 100, 2)), np.eye(4))
    assert size_pixels(strip, 0, 200) == (200, 24)


def test_greys_span_the_percentiles() -> None:
    rows = np.array([[0.0, 50.0, 100.0, 1000.0, np.nan, -np.inf]])
    assert grey_levels(rows, (0, 100)).tolist() == [[0, 13, 26, 255, 0, 0]]
    assert set(grey_levels(np.full((2, 2), 7.0), (1, 99)).ravel()) == {0}


def test_a_plain_picture_has_no_sides() -> None:
    assert has_orientation(SCAN)
    picture = Volume(SCAN.voxels, SCAN.affine, warnings=("odd", NO_GEOMETRY))
    assert not has_orientation(picture)
    assert not has_orientation(picture.reoriented("RAS"))


def test_letters_change_the_borders_alone() -> None:
    picture = Image.new("RGB", (100, 80), "#808080")
    draw_orientation_letters(picture, 2, 12)
    changed = np.asarray(picture)[..., 0] != 128
    assert changed[30:50, :20].any()
    assert changed[30:50, -20:].any()
    assert not changed[20:60, 25:75].any()


def test_labels_are_repeated_and_never_mixed() -> None:
    rows = np.array([[1, 5], [0, 9]])
    assert resized_labels(rows, (4, 2)).tolist() == [[1, 1, 5, 5], [0, 0, 9, 9]]
    # Fewer pixels than voxels: the voxel in the middle of each pixel.
    assert resized_labels(np.arange(9)[None], (3, 1)).tolist() == [[1, 4, 7]]


def test_erosion_and_dilation_are_of_four_neighbours() -> None:
    mask = np.zeros((5, 5), bool)
    mask[1:4, 1:4] = True
    assert eroded(mask).sum() == 1
    assert dilated(mask).sum() == 9 + 4 * 3
    assert eroded(np.ones((3, 3), bool)).sum() == 1
    assert dilated(np.ones((3, 3), bool)).all()
