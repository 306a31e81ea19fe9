"""Where the template lies: by hand for each fit, found again after a known move."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.evaluation.baseline.scans import NormalizedScan, foreground_box
from slicewise.evaluation.baseline.template_matching import Fit, Template, frame_of, matched

STRETCHED, CENTRED = Fit("grid", "stretched"), Fit("grid", "millimetres")
BRIGHT = Fit("foreground", "stretched")


def scan_of(
    voxels: NDArray[np.float32], spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> NormalizedScan:
    return NormalizedScan(voxels[None].astype(np.float32), spacing_mm, 2)


def texture(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_template_has_the_median_shape_and_the_mean_size() -> None:
    sizes = np.array([[10, 20, 4], [12, 20, 6], [30, 20, 5]])
    spacings_mm = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    template = Template.over(sizes, spacings_mm)
    assert template.shape == (12, 20, 5)
    # (10 + 24 + 30) / 3 mm over 12 voxels
    assert template.spacing_mm == pytest.approx((64 / 3 / 12, 2.0, 3.0))


def test_stretched_to_the_grid_a_block_keeps_its_share() -> None:
    prior = np.zeros((1, 8, 6, 4), dtype=np.float32)
    prior[0, 1:3, 2:5, 3] = 1
    scan = scan_of(np.zeros((16, 18, 4), dtype=np.float32), (0.5, 9.0, 3.0))
    frame = frame_of(scan, Template((8, 6, 4), (1.0, 1.0, 1.0)), STRETCHED)
    (placed,) = frame.onto_scan(prior, scan.shape)
    expected = np.zeros(scan.shape, dtype=bool)
    expected[2:6, 6:15, 3] = True
    # At a corner of the block the share is 0.75 * 2 / 3.
    np.testing.assert_array_equal(placed > 0.49, expected)


def test_stretched_to_the_grid_the_border_belongs_to_the_template() -> None:
    scan = scan_of(np.zeros((12, 9, 10), dtype=np.float32))
    frame = frame_of(scan, Template((3, 3, 2), (1.0, 1.0, 1.0)), STRETCHED)
    (placed,) = frame.onto_scan(np.ones((1, 3, 3, 2), dtype=np.float32), scan.shape)
    assert placed.min() == 1


def test_centred_on_the_grid_a_block_keeps_its_millimetres() -> None:
    prior = np.zeros((1, 5, 5, 5), dtype=np.float32)
    prior[0, 3, 1, 2] = 1  # 2 mm to the right of the middle, 2 mm behind it
    scan = scan_of(np.zeros((21, 11, 3), dtype=np.float32), (1.0, 2.0, 2.0))
    frame = frame_of(scan, Template((5, 5, 5), (2.0, 2.0, 2.0)), CENTRED)
    (placed,) = frame.onto_scan(prior, scan.shape)
    assert np.unravel_index(placed.argmax(), placed.shape) == (12, 4, 1)
    # Beyond the template nothing is known.
    assert not placed[:4].any()


def test_foreground_is_the_bright_box_without_specks() -> None:
    voxels = np.zeros((40, 30, 20), dtype=np.float32)
    voxels[5:25, 10:28, 2:17] = 100
    voxels[39, 29, 19] = 100
    np.testing.assert_array_equal(foreground_box(scan_of(voxels)), [[5, 10, 2], [24, 27, 16]])
    flat = np.full((4, 3, 2), 7, dtype=np.float32)
    np.testing.assert_array_equal(foreground_box(scan_of(flat)), [[0, 0, 0], [3, 2, 1]])


def test_stretched_to_the_foreground_follows_it() -> None:
    voxels = np.zeros((40, 30, 20), dtype=np.float32)
    voxels[8:24, 4:20, 10:18] = 100
    frame = frame_of(scan_of(voxels), Template((4, 8, 8), (1.0, 1.0, 1.0)), BRIGHT)
    np.testing.assert_allclose(frame.step, (4, 2, 1))
    np.testing.assert_allclose(frame.start, (9.5, 4.5, 10))


@pytest.mark.parametrize("shift", [(2, -1, 1), (-2, 1, 0), (0, 0, 0)])
def test_a_moved_scan_is_found_again(shift: tuple[int, int, int]) -> None:
    world = texture((44, 34, 22))
    mean = world[10:34, 10:24, 5:17]
    prior = np.zeros((1, 24, 14, 12), dtype=np.float32)
    prior[0, 8:15, 4:9, 3:8] = 0.7
    # What was at an index of the mean scan is ``shift`` further on.
    x, y, z = (10, 10, 5) - np.array(shift)
    moved = world[x : x + 24, y : y + 14, z : z + 12]
    scan = scan_of(moved)
    frame = frame_of(scan, Template((24, 14, 12), (1.0, 1.0, 1.0)), STRETCHED)
    found = matched(scan, frame, mean[None], prior)
    np.testing.assert_allclose(found.start - frame.start, shift)


def test_one_slice_is_matched_within_its_plane() -> None:
    world = texture((50, 46, 1))
    mean = world[5:41, 5:35]
    prior = np.zeros((1, 36, 30, 1), dtype=np.float32)
    prior[0, 10:24, 9:20] = 1
    scan = scan_of(world[8:44, 3:33])
    frame = frame_of(scan, Template((36, 30, 1), (1.0, 1.0, 1.0)), STRETCHED)
    found = matched(scan, frame, mean[None], prior)
    np.testing.assert_allclose(found.start - frame.start, (-3, 2, 0))


def test_a_flat_scan_is_matched_somewhere() -> None:
    scan = scan_of(np.zeros((24, 14, 12), dtype=np.float32))
    frame = frame_of(scan, Template((24, 14, 12), (1.0, 1.0, 1.0)), STRETCHED)
    prior = np.zeros((1, 24, 14, 12), dtype=np.float32)
    found = matched(scan, frame, texture((24, 14, 12))[None], prior)
    assert np.isfinite(found.start).all()
