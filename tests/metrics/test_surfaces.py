"""Distances of surfaces: by hand, against every pair of surface voxels, and against MONAI."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from slicewise.imaging.volume import Volume
from slicewise.metrics.masks import MaskPair, mask_pair
from slicewise.metrics.surfaces import SurfaceAgreement, surface_agreement

# Spacings of 2, 3 and 5 mm; axes in another order than those of the world, and one mirrored.
UPRIGHT = np.array([[0, -3, 0, 7], [2, 0, 0, -4], [0, 0, 5, 9], [0, 0, 0, 1.0]])
masks = arrays(np.bool_, (3, 4, 5))


def a_pair(predicted: Any, reference: Any, affine: NDArray[Any] = UPRIGHT) -> MaskPair:
    volumes = [
        Volume(np.asarray(voxels, dtype=np.uint8), affine) for voxels in (predicted, reference)
    ]
    return mask_pair(*volumes, 1)


def line(*values: int) -> NDArray[Any]:
    return np.array(values).reshape(1, 1, -1)


def blobs(seed: int, shape: tuple[int, ...] = (17, 23, 9)) -> tuple[NDArray[Any], NDArray[Any]]:
    """Two masks of different size, place and shape, touching the border of the scan."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    found = []
    for centre in ((5, 9, 2), (7, 11, 4)):
        far = (((grid - centre) / random.uniform(2, 6, 3)) ** 2).sum(-1)
        found.append((far < 1) | (random.random(shape) < 0.01))
    return found[0], found[1]


def surface_by_loops(mask: NDArray[Any]) -> list[tuple[int, ...]]:
    """Voxels of a mask with one of six neighbours outside of the mask, or of the scan."""
    surface = []
    for place in map(tuple, np.argwhere(mask)):
        for axis in range(3):
            for step in (-1, 1):
                beside = list(place)
                beside[axis] += step
                inside = 0 <= beside[axis] < mask.shape[axis]
                if not inside or not mask[tuple(beside)]:
                    surface.append(place)
    return sorted(set(surface))


def by_brute_force(
    predicted: NDArray[Any], reference: NDArray[Any], affine: NDArray[Any], tolerance_mm: float
) -> SurfaceAgreement:
    places = [
        np.array(surface_by_loops(mask)) @ affine[:3, :3].T + affine[:3, 3]
        for mask in (predicted, reference)
    ]
    distances = cdist(*places)
    there, back = distances.min(1), distances.min(0)
    near = np.count_nonzero(there <= tolerance_mm) + np.count_nonzero(back <= tolerance_mm)
    return SurfaceAgreement(
        max(np.quantile(there, 0.95), np.quantile(back, 0.95)),
        (there.sum() + back.sum()) / (len(there) + len(back)),
        near / (len(there) + len(back)),
    )


def test_by_hand() -> None:
    # Surfaces at 1 and 3 against 1 and 5 of a line of 5 mm voxels: 0 and 2 beside 0 and 2 voxels.
    found = surface_agreement(a_pair(line(0, 1, 0, 1, 0, 0), line(0, 1, 0, 0, 0, 1)), 1)
    assert found.distance_mm == pytest.approx((0 + 10 + 0 + 10) / 4)
    assert found.dice == pytest.approx(2 / 4)
    assert found.hd95_mm == pytest.approx(0.95 * 10)


def test_the_larger_of_both_directions_counts() -> None:
    near, far = line(1, 0, 0, 0, 0), line(1, 0, 0, 0, 1)
    assert surface_agreement(a_pair(near, far), 1).hd95_mm == pytest.approx(0.95 * 20)
    assert surface_agreement(a_pair(far, near), 1).hd95_mm == pytest.approx(0.95 * 20)


@pytest.mark.parametrize("tolerance_mm", [0.5, 2, 3.1, 6])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_brute_force(seed: int, tolerance_mm: float) -> None:
    ours, theirs = blobs(seed)
    expected = by_brute_force(ours, theirs, UPRIGHT, tolerance_mm)
    found = surface_agreement(a_pair(ours, theirs), tolerance_mm)
    assert found.hd95_mm == pytest.approx(expected.hd95_mm)
    assert found.distance_mm == pytest.approx(expected.distance_mm)
    assert found.dice == pytest.approx(expected.dice)
    assert 0 < found.dice < 1


def test_axes_that_are_not_perpendicular_count_as_they_are() -> None:
    skewed = np.array([[1.1, 0.4, 0, 3], [0, 2, 0.5, -8], [0.3, 0, 4, 1], [0, 0, 0, 1]])
    ours, theirs = blobs(9)
    expected = by_brute_force(ours, theirs, skewed, 1.5)
    found = surface_agreement(a_pair(ours, theirs, skewed), 1.5)
    assert found.hd95_mm == pytest.approx(expected.hd95_mm)
    assert found.dice == pytest.approx(expected.dice)


# MONAI warns of an option that it sets itself.
@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_monai(seed: int) -> None:
    ours, theirs = blobs(seed + 20)
    spacing = (2, 3, 5)
    one_hot = [torch.from_numpy(mask)[None, None] for mask in (ours, theirs)]
    found = surface_agreement(a_pair(ours, theirs), 3)
    options = {"include_background": True, "spacing": spacing}
    hd95 = compute_hausdorff_distance(*one_hot, percentile=95, **options)
    distance = compute_average_surface_distance(*one_hot, symmetric=True, **options)
    dice = compute_surface_dice(*one_hot, class_thresholds=[3], **options)
    assert found.hd95_mm == pytest.approx(float(hd95), rel=1e-6)
    assert found.distance_mm == pytest.approx(float(distance), rel=1e-6)
    assert found.dice == pytest.approx(float(dice), rel=1e-6)


@pytest.mark.parametrize("flat_axis", [0, 1, 2])
def test_a_single_slice_has_an_outline_and_no_faces(flat_axis: int) -> None:
    ours, theirs = np.zeros((2, 9, 9), dtype=bool)
    ours[1:8, 1:8] = theirs[2:9, 1:8] = True
    pair = a_pair(
        np.expand_dims(ours, flat_axis), np.expand_dims(theirs, flat_axis), np.diag([1, 1, 1, 1.0])
    )
    # Of the 24 voxels of an outline, the 7 of the row in front lie 1 mm off, and so do 5 of the
    # row behind; the 2 columns agree.
    found = surface_agreement(pair, 0)
    assert found.distance_mm == pytest.approx((7 + 5) / 24)
    assert found.dice == pytest.approx(1 - 12 / 24)


def test_a_flat_structure_in_a_deep_scan_has_faces() -> None:
    thin, shape = np.zeros((7, 7, 4), dtype=bool), (7, 7, 4)
    thin[1:6, 1:6, 2] = True
    found = surface_agreement(a_pair(thin, thin & (np.arange(7) != 3)[:, None, None]), 0)
    # Each voxel of a sheet is its surface: 25 against 20, of which 5 have no counterpart.
    assert found.dice == pytest.approx(1 - 5 / 45)
    assert thin.shape == shape


@pytest.mark.parametrize(
    ("predicted", "reference", "dice"),
    [((1, 0), (0, 0), 0), ((0, 0), (1, 0), 0), ((0, 0), (0, 0), math.nan)],
)
def test_empty_masks_have_no_distance(
    predicted: tuple[int, ...], reference: tuple[int, ...], dice: float
) -> None:
    found = surface_agreement(a_pair(line(*predicted), line(*reference)), 1)
    assert math.isnan(found.hd95_mm)
    assert math.isnan(found.distance_mm)
    assert found.dice == pytest.approx(dice, nan_ok=True)


@pytest.mark.parametrize("factor", [1 - 1e-6, 1, 1 + 1e-6])
def test_a_tolerance_of_one_voxel_holds_one_voxel(factor: float) -> None:
    affine = np.diag([1, 1, 0.7 * factor, 1.0])
    pair = a_pair(line(0, 1, 0, 0), line(0, 0, 1, 0), affine)
    assert surface_agreement(pair, 0.7).dice == 1
    assert surface_agreement(pair, 0.69).dice == 0


@given(masks, masks)
def test_symmetric(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> None:
    there = surface_agreement(a_pair(one, other), 2)
    back = surface_agreement(a_pair(other, one), 2)
    for name in ("hd95_mm", "distance_mm", "dice"):
        assert getattr(there, name) == pytest.approx(getattr(back, name), nan_ok=True)


@given(masks.filter(np.any))
def test_one_on_itself(mask: NDArray[np.bool_]) -> None:
    assert surface_agreement(a_pair(mask, mask), 0) == SurfaceAgreement(0, 0, 1)


@given(masks.filter(np.any), masks.filter(np.any), st.floats(0.1, 9))
def test_distances_grow_with_the_voxels(
    one: NDArray[np.bool_], other: NDArray[np.bool_], factor: float
) -> None:
    pair = a_pair(one, other)
    wide = UPRIGHT.copy()
    wide[:3, :3] *= factor
    larger = surface_agreement(
        MaskPair(*(replace(mask, affine=wide) for mask in (pair.predicted, pair.reference))), 2
    )
    found = surface_agreement(pair, 2)
    assert larger.hd95_mm == pytest.approx(factor * found.hd95_mm)
    assert larger.distance_mm == pytest.approx(factor * found.distance_mm)
