"""The label map: the likeliest structure a voxel, and one a slice where labels are divided so."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.config import SliceExclusiveSection
from slicewise.dataset.plane import PLANES
from slicewise.imaging.volume import Volume
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.probability_maps import ProbabilityMaps

LABELS = {"front": 3, "back": 300, "other": 7}
SHAPE = (5, 6, 7)  # to the right, to the front, upwards


def divided(plane: str, *structures: str) -> SliceExclusiveSection:
    return SliceExclusiveSection.model_validate({"plane": plane, "structures": structures})


def a_scan(codes: str = "RAS") -> tuple[Volume, NDArray[np.float64]]:
    """A grid and probabilities (K, X, Y, Z) that say something else in every voxel."""
    random = np.random.default_rng(4)
    soft = random.dirichlet(np.ones(1 + len(LABELS)), SHAPE)
    affine = np.array([[1.2, 0.1, 0, 5], [-0.1, 1, 0.2, -3], [0, -0.2, 0.9, 8], [0, 0, 0, 1]])
    volumes = [Volume(soft[..., k], affine).reoriented(codes) for k in range(soft.shape[-1])]
    return volumes[0], np.stack([item.voxels for item in volumes])


def slow(soft: NDArray[np.float64], axis: int, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Slice by slice and voxel by voxel, on RAS axes."""
    order = list(LABELS)
    found = np.array([0, *LABELS.values()])[soft.argmax(0)]
    values = [LABELS[name] for name in names]
    for number in range(found.shape[axis]):
        voxels = [
            tuple(int(i) for i in place)
            for place in np.argwhere(np.isin(found, values))
            if place[axis] == number
        ]
        sums = [sum(soft[1 + order.index(name)][place] for place in voxels) for name in names]
        for place in voxels:
            found[place] = values[sums.index(max(sums))]
    return found


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "PIR"])
@pytest.mark.parametrize("plane", PLANES)
def test_a_slice_of_the_plane_holds_one_of_the_divided(plane: str, codes: str) -> None:
    grid, soft = a_scan(codes)
    found = label_map(ProbabilityMaps.of(grid, soft), LABELS, [divided(plane, "back", "front")])
    upright = found.reoriented("RAS").voxels
    axis = PLANES.index(plane)
    _, same = a_scan()
    np.testing.assert_array_equal(upright, slow(same, axis, ("back", "front")))
    for number in range(SHAPE[axis]):
        assert not {3, 300} <= set(np.unique(upright.take(number, axis)))
    assert found.orientation == codes


def test_without_divisions_each_voxel_stands_alone() -> None:
    grid, soft = a_scan()
    found = label_map(ProbabilityMaps.of(grid, soft), LABELS, [])
    np.testing.assert_array_equal(found.voxels, np.array([0, 3, 300, 7])[soft.argmax(0)])
    assert found.voxels.dtype == np.uint16
    assert len(np.unique(found.voxels[:, 2])) == 4


def test_background_and_other_structures_stay() -> None:
    grid, soft = a_scan()
    plain = label_map(ProbabilityMaps.of(grid, soft), LABELS, []).voxels
    found = label_map(
        ProbabilityMaps.of(grid, soft), LABELS, [divided("coronal", "front", "back")]
    ).voxels
    untouched = np.isin(plain, [0, 7])
    np.testing.assert_array_equal(found[untouched], plain[untouched])
    assert (found != plain).any()


def test_of_three_two_by_two() -> None:
    grid, soft = a_scan()
    pairs = [divided("axial", "front", "other"), divided("axial", "other", "back")]
    found = label_map(ProbabilityMaps.of(grid, soft), LABELS, pairs).voxels
    for number in range(SHAPE[2]):
        assert not {7, 300} <= set(np.unique(found[:, :, number]))


def test_an_empty_mask() -> None:
    grid, soft = a_scan()
    nothing = np.zeros_like(soft)
    nothing[0] = 1
    assert not label_map(
        ProbabilityMaps.of(grid, nothing), LABELS, [divided("coronal", "front", "back")]
    ).voxels.any()
