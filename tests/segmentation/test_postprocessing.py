"""Stray pieces go, holes are filled, and nothing else of a mask moves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from slicewise.config import PostprocessingSection
from slicewise.imaging.volume import Volume
from slicewise.segmentation.postprocessing import postprocess

LABELS = {"shell": 4, "core": 9}
LARGEST = PostprocessingSection(largest_component=True)
FILLED = PostprocessingSection(fill_holes=True)


def volume(voxels: NDArray[np.uint8]) -> Volume:
    """Voxels of 1 x 2 x 5 mm: 0.01 ml each."""
    return Volume(voxels, np.diag([1.0, 2.0, 5.0, 1.0]), "mask")


@pytest.fixture
def mask() -> Volume:
    """A shell around a core and a hole, with a piece of 3 voxels and one of 1 voxel apart."""
    voxels = np.zeros((13, 9, 7), dtype=np.uint8)
    voxels[1:8, 1:7, 1:6] = 4
    voxels[2:7, 2:6, 2:5] = 9
    voxels[3, 3, 3] = 0
    voxels[2, 2, 2] = 0  # between core and shell
    voxels[10, 2:5, 1] = 4
    voxels[12, 8, 6] = 4
    return volume(voxels)


def cleaned(mask: Volume, **sections: PostprocessingSection) -> NDArray[np.uint8]:
    found = postprocess(mask, LABELS, sections)
    assert found.affine is mask.affine
    assert found.voxels.dtype == mask.voxels.dtype
    return found.voxels


def test_without_any_section_the_mask_itself_comes_back(mask: Volume) -> None:
    assert postprocess(mask, LABELS, {}) is mask


def test_a_section_that_asks_for_nothing_changes_nothing(mask: Volume) -> None:
    found = cleaned(mask, shell=PostprocessingSection(), core=PostprocessingSection())
    assert np.array_equal(found, mask.voxels)


def test_largest_component_of_one_structure(mask: Volume) -> None:
    before = mask.voxels.copy()
    found = cleaned(mask, shell=LARGEST)
    expected = before.copy()
    expected[10:] = 0
    assert np.array_equal(found, expected)
    assert np.array_equal(mask.voxels, before)


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    voxels = np.zeros((6, 5, 4), dtype=np.uint8)
    voxels[0, 0, 0] = voxels[1, 1, 1] = voxels[4, 3, 0] = 4
    found = cleaned(volume(voxels), shell=LARGEST)
    assert np.argwhere(found).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_of_equal_pieces_the_first_stays() -> None:
    voxels = np.zeros((6, 5, 4), dtype=np.uint8)
    voxels[1, 1, 1] = voxels[4, 3, 0] = 4
    assert np.argwhere(cleaned(volume(voxels), shell=LARGEST)).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(("minimum_ml", "kept"), [(0.005, 2), (0.01, 2), (0.03, 1), (0.031, 0)])
def test_minimum_volume_counts_millilitres(mask: Volume, minimum_ml: float, kept: int) -> None:
    found = cleaned(mask, shell=PostprocessingSection(minimum_volume_ml=minimum_ml))
    assert ndimage.label(found[9:] == 4, np.ones((3, 3, 3)))[1] == kept
    assert np.array_equal(found[:9], mask.voxels[:9])


def test_a_largest_component_may_be_too_small() -> None:
    voxels = np.zeros((6, 5, 4), dtype=np.uint8)
    voxels[1:3, 1, 1] = 4
    section = PostprocessingSection(largest_component=True, minimum_volume_ml=0.05)
    assert not cleaned(volume(voxels), shell=section).any()


def test_holes_are_filled_beside_other_structures(mask: Volume) -> None:
    found = cleaned(mask, core=FILLED)
    assert found[3, 3, 3] == 9
    # Enclosed by core and shell together, by neither alone ...
    assert found[2, 2, 2] == 0
    assert np.array_equal(np.delete(found, 3, 0), np.delete(mask.voxels, 3, 0))
    # ... but within the shell, whose core stays what it is.
    both = cleaned(mask, core=FILLED, shell=FILLED)
    assert both[2, 2, 2] == 4
    assert (both == 9).sum() == (found == 9).sum()


def test_a_hole_at_the_border_of_the_scan_is_open() -> None:
    voxels = np.zeros((5, 6, 4), dtype=np.uint8)
    voxels[0:3, 1:4, 0:3] = 4
    voxels[1, 2, 0:2] = 0
    assert np.array_equal(cleaned(volume(voxels), shell=FILLED), voxels)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_has_holes_within_its_plane(axis: int) -> None:
    ring = np.full((5, 6), 4, dtype=np.uint8)
    ring[2, 1:4] = 0
    plane = np.pad(ring, 2)
    found = cleaned(volume(np.expand_dims(plane, axis)), shell=FILLED)
    expected = np.where(np.pad(np.ones_like(ring), 2), 4, 0)
    assert np.array_equal(found.squeeze(axis), expected)


def test_a_ring_of_one_slice_in_a_scan_of_several_encloses_nothing() -> None:
    voxels = np.zeros((7, 8, 3), dtype=np.uint8)
    voxels[1:6, 1:7, 1] = 4
    voxels[3, 3, 1] = 0
    assert np.array_equal(cleaned(volume(voxels), shell=FILLED), voxels)


def test_absent_structures_stay_absent() -> None:
    empty = volume(np.zeros((3, 4, 5), dtype=np.uint8))
    section = PostprocessingSection(largest_component=True, fill_holes=True, minimum_volume_ml=1)
    assert not cleaned(empty, core=section, shell=section).any()
