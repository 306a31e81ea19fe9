"""Masks are cut down to where they lie, and stay where they are."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from slicewise.errors import GeometryError, LabelError
from slicewise.imaging.volume import Volume
from slicewise.metrics.masks import mask_pair, on_one_grid, with_axes_of

AFFINE = np.array([[0, -3, 0.5, 7], [2, 0, 0.25, -4], [0.1, 0, 5, 9], [0, 0, 0, 1]])


def positions(mask: Volume) -> list[tuple[float, ...]]:
    places = mask.world_position_mm(np.argwhere(mask.voxels))
    return sorted(tuple(np.round(place, 6)) for place in places)


def a_label(*places: tuple[int, int, int], value: int = 4) -> Volume:
    voxels = np.zeros((6, 7, 8), dtype=np.int16)
    for place in places:
        voxels[place] = value
    return Volume(voxels, AFFINE, "label")


def test_both_masks_keep_their_places_in_the_world() -> None:
    ours, theirs = a_label((2, 3, 6), (2, 3, 7)), a_label((4, 1, 6))
    pair = mask_pair(ours, theirs, 4)
    # Around 2 to 4, 1 to 3 and 6 to 7, with a margin of one where there is one.
    assert pair.predicted.shape == pair.reference.shape == (5, 5, 3)
    assert positions(pair.predicted) == positions(ours)
    assert positions(pair.reference) == positions(theirs)


def test_only_the_value_that_is_asked() -> None:
    pair = mask_pair(a_label((0, 0, 0), value=3), a_label((5, 6, 7)), 4)
    assert not pair.predicted.voxels.any()
    assert pair.reference.voxels.sum() == 1
    assert pair.reference.shape == (2, 2, 2)


def test_empty_masks() -> None:
    pair = mask_pair(a_label(), a_label(), 4)
    assert not pair.predicted.voxels.any()
    assert not pair.reference.voxels.any()


def test_an_axis_of_one_voxel_is_one_of_the_scan() -> None:
    voxels = np.zeros((1, 9, 9), dtype=np.uint8)
    voxels[0, 4, 4] = 1
    scan = Volume(voxels, AFFINE)
    assert mask_pair(scan, scan, 1).reference.shape == (1, 3, 3)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "AIR"])
def test_axes_in_another_order(codes: str) -> None:
    reference = a_label((2, 3, 6), (4, 1, 6))
    turned = reference.reoriented(codes)
    again = with_axes_of(turned, reference)
    np.testing.assert_array_equal(again.voxels, reference.voxels)
    np.testing.assert_allclose(again.affine, reference.affine, atol=1e-9)


def test_one_grid_near_45_degrees_is_not_turned() -> None:
    angles = np.radians([44.9999, 45.0001])
    volumes = []
    for angle in angles:
        affine = np.eye(4)
        affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        volumes.append(Volume(np.arange(24).reshape(2, 3, 4), affine))
    assert volumes[0].orientation != volumes[1].orientation
    np.testing.assert_array_equal(with_axes_of(*volumes).voxels, volumes[0].voxels)


def test_another_grid() -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 0.1
    with pytest.raises(GeometryError, match="voxels apart"):
        on_one_grid(replace(a_label(), affine=moved), a_label())


@pytest.mark.parametrize("value", [0.5, math.nan])
def test_what_is_no_label_map_is_refused(value: float) -> None:
    soft = a_label().with_voxels(np.full((6, 7, 8), value))
    with pytest.raises(LabelError):
        on_one_grid(a_label(), soft)
