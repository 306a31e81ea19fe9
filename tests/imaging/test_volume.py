"""Voxels keep their places in the world, whatever the order of their axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume, require_same_grid

ORIENTATIONS = [
    "".join(codes)
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0])
    for flips in range(8)
    for codes in [[("RL", "AP", "SI")[axis][flips >> axis & 1] for axis in order]]
]

angles = st.floats(-180, 180)
spacings = st.floats(0.3, 6)


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    rotation = Rotation.from_euler("zyx", [draw(angles) for _ in range(3)], degrees=True)
    affine = np.eye(4)
    affine[:3, :3] = rotation.as_matrix() * [draw(spacings) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return affine


def a_volume(affine: NDArray[np.float64], shape: tuple[int, int, int] = (2, 3, 4)) -> Volume:
    """Every voxel has its own value."""
    return Volume(np.arange(np.prod(shape)).reshape(shape), affine, "scan")


def positions_by_value(volume: Volume) -> NDArray[np.float64]:
    """World position of the voxel of value 0, 1, ...; shape (N, 3)."""
    index = np.argwhere(np.ones(volume.shape, dtype=bool))
    values = volume.voxels[tuple(index.T)]
    homogeneous = np.column_stack([index, np.ones(len(index))])
    return (homogeneous @ volume.affine.T)[np.argsort(values), :3]


@given(affines(), st.sampled_from(ORIENTATIONS))
def test_reorienting_moves_no_voxel(affine: NDArray[np.float64], codes: str) -> None:
    volume = a_volume(affine)
    turned = volume.reoriented(codes)
    np.testing.assert_allclose(positions_by_value(turned), positions_by_value(volume), atol=1e-9)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_reorienting_gives_the_codes_asked_for(codes: str) -> None:
    affine = np.array([[-0.1, 0, 3, 5], [0.5, 0.1, 0, 6], [0, -2, 0.2, 7], [0, 0, 0, 1]])
    volume = a_volume(affine)
    assert volume.orientation == "AIR"
    turned = volume.reoriented(codes)
    assert turned.orientation == codes
    back = turned.reoriented("AIR")
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-12)


def test_measures_by_hand() -> None:
    # Columns of lengths 2 (towards A), 3 (towards L) and 5 (3-4-5 in the R-S plane).
    volume = a_volume(np.array([[0, -3, 3, 0], [2, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1.0]]))
    assert volume.shape == (2, 3, 4)
    assert volume.spacing_mm == (2, 3, 5)
    # 2 (A) x 3 (L) spans a plane whose normal is S: only 4 of the 5 mm count.
    assert volume.voxel_volume_ml == pytest.approx(2 * 3 * 4 / 1000)
    np.testing.assert_array_equal(
        volume.world_position_mm(np.array([[0, 0, 0], [1, 2, 3]])), [[0, 0, 0], [3, 2, 12]]
    )


def test_other_voxels_keep_the_grid() -> None:
    volume = a_volume(np.diag([1, 2, 3, 1.0]))
    other = volume.with_voxels(np.ones((2, 3, 4), np.uint8))
    assert other.affine is volume.affine
    assert other.voxels.dtype == np.uint8


def test_other_voxels_of_another_shape_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"scan\n.*\(2, 3, 4\)\n.*\(2, 3, 5\)"):
        a_volume(np.eye(4)).with_voxels(np.zeros((2, 3, 5)))


def shifted(mm: float) -> Volume:
    affine = np.diag([2, 1, 3, 1.0])
    affine[0, 3] = mm
    return Volume(np.zeros((2, 3, 4)), affine, "other")


def test_difference_is_counted_in_the_smallest_voxel() -> None:
    assert shifted(0).grid_difference_voxels(shifted(0.5)) == pytest.approx(0.5)


def test_difference_sees_a_turn_at_the_far_corner_only() -> None:
    turned = np.diag([2, 1, 3, 1.0])
    turned[1, 2] = 0.1  # y shears by 0.1 mm a slice; the last slice is number 3
    other = Volume(np.zeros((2, 3, 4)), turned, "other")
    assert shifted(0).grid_difference_voxels(other) == pytest.approx(0.3)


@pytest.mark.parametrize("mm", [0.0, 0.0099, -0.0099])
def test_same_grid_within_the_tolerance(mm: float) -> None:
    require_same_grid(shifted(0), shifted(mm))


@pytest.mark.parametrize("mm", [0.0102, -0.0102])
def test_another_grid_beyond_the_tolerance(mm: float) -> None:
    with pytest.raises(GeometryError) as caught:
        require_same_grid(shifted(0), shifted(mm))
    assert caught.value.where == "other"
    assert "0.01 voxel" in caught.value.expected
    assert caught.value.found == "corners 0.0102 voxels apart"
    require_same_grid(shifted(0), shifted(mm), tolerance_voxels=0.011)


def test_another_shape_is_another_grid() -> None:
    with pytest.raises(GeometryError) as caught:
        require_same_grid(a_volume(np.eye(4)), a_volume(np.eye(4), (2, 3, 5)))
    assert "(2, 3, 4)" in caught.value.expected
    assert caught.value.found == "shape (2, 3, 5)"


@pytest.mark.parametrize(
    ("shape", "spacing_mm", "axis"),
    [
        ((4, 5, 6), (1, 3, 2), 1),
        ((4, 5, 6), (1, 1, 1), 2),
        ((4, 5, 6), (1.0002, 1, 1), 2),
        # A single slice, thinner than its pixels are wide.
        ((1, 5, 6), (0.5, 1, 2), 0),
        ((4, 1, 6), (3, 0.5, 1), 1),
        ((4, 5, 1), (3, 1, 0.5), 2),
        # A line, and a voxel.
        ((1, 1, 6), (1, 2, 9), 1),
        ((1, 1, 1), (3, 1, 1), 0),
    ],
)
def test_slices_lie_across_the_thickest_axis(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], axis: int
) -> None:
    assert a_volume(np.diag([*spacing_mm, 1.0]), shape).thickest_axis == axis
