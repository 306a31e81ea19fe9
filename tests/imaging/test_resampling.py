"""Resampling: a linear field stays what it is on any grid, and nothing is invented outside."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from slicewise.errors import GeometryError
from slicewise.imaging.resampling import resampled_onto
from slicewise.imaging.volume import Volume

Array = NDArray[np.float64]


def affine_of(columns: list[list[float]], origin_mm: tuple[float, float, float]) -> Array:
    affine = np.eye(4)
    affine[:3, :3] = np.array(columns).T
    affine[:3, 3] = origin_mm
    return affine


# 20 degrees about z, then thick slices; left-handed, as the second axis points backwards.
OBLIQUE = affine_of(
    [[0.846, 0.308, 0.0], [0.41, -1.128, 0.0], [0.0, 0.0, 5.0]], (-3.0, 12.0, -20.0)
)
SKEWED = affine_of([[1.1, 0.1, -0.05], [0.2, 0.9, 0.15], [-0.3, 0.6, 2.4]], (-9.0, -12.0, -14.0))


def field(volume: Volume) -> Array:
    """3 x - 2 y + 0.5 z + 100 in world millimetres."""
    places = np.moveaxis(np.indices(volume.shape), 0, -1)
    x, y, z = np.moveaxis(volume.world_position_mm(places), -1, 0)
    return 3 * x - 2 * y + 0.5 * z + 100


def empty(shape: tuple[int, int, int], affine: Array, name: str = "grid") -> Volume:
    return Volume(np.zeros(shape), affine, name)


def reached(scan: Volume, grid: Volume, margin: float = 0.0) -> NDArray[np.bool_]:
    """Voxels of a grid whose centre lies between the outermost centres of a scan."""
    places = np.moveaxis(np.indices(grid.shape), 0, -1)
    to_scan = np.linalg.inv(scan.affine)
    indices = grid.world_position_mm(places) @ to_scan[:3, :3].T + to_scan[:3, 3]
    inside: NDArray[np.bool_] = (
        (indices >= -margin) & (indices <= np.array(scan.shape) - 1 + margin)
    ).all(-1)
    return inside


@pytest.mark.parametrize(("of", "onto"), [(OBLIQUE, SKEWED), (SKEWED, OBLIQUE)])
def test_a_linear_field_stays_what_it_is(of: Array, onto: Array) -> None:
    scan = empty((31, 26, 9), of)
    scan = scan.with_voxels(field(scan))
    grid = empty((14, 17, 11), onto)
    resampled = resampled_onto(scan, grid)
    inside = reached(scan, grid)
    assert 100 < inside.sum() < inside.size
    np.testing.assert_allclose(resampled.voxels[inside], field(grid)[inside], atol=1e-3)
    outside = ~reached(scan, grid, margin=0.5 + 1e-6)
    assert outside.any()
    assert (resampled.voxels[outside] == 0).all()
    assert resampled.shape == grid.shape
    assert (resampled.affine == grid.affine).all()


def test_values_are_those_of_another_library() -> None:
    voxels = np.random.default_rng(4).normal(50, 20, (31, 26, 9)).astype(np.float32)
    scan, grid = Volume(voxels, OBLIQUE), empty((14, 17, 11), SKEWED)
    to_scan = np.linalg.inv(scan.affine) @ grid.affine
    indices = np.tensordot(to_scan[:3, :3], np.indices(grid.shape), 1)
    expected = map_coordinates(voxels, indices + to_scan[:3, 3, None, None, None], order=1)
    inside = reached(scan, grid)
    found = resampled_onto(scan, grid).voxels
    np.testing.assert_allclose(found[inside], expected[inside], atol=1e-3)


def test_a_thick_slice_fills_its_thickness() -> None:
    # Two slices of 6 mm, centred on 0 and 6 mm: they reach from -3 to 9 mm.
    scan = Volume(np.array([10.0, 16.0]).reshape(1, 1, 2), np.diag([4.0, 4.0, 6.0, 1.0]), "thick")
    grid = empty((1, 1, 8), affine_of([[1, 0, 0], [0, 1, 0], [0, 0, 2]], (0, 0, -4.5)))
    # At -4.5, -2.5, -0.5, 1.5, 3.5, 5.5, 7.5 and 9.5 mm.
    resampled = resampled_onto(scan, grid)
    np.testing.assert_allclose(
        resampled.voxels.ravel(), [0, 10, 10, 11.5, 13.5, 15.5, 16, 0], atol=1e-5
    )
    assert resampled.warnings == (
        "was resampled from 4 x 4 x 6 mm onto 1 x 1 x 2 mm",
        "does not cover 25 % of the grid, which is filled with 0",
    )


def test_covering_all_but_little_is_said() -> None:
    scan = empty((40, 40, 2), np.eye(4)).with_voxels(np.ones((40, 40, 2)))
    # The first of 80 planes lies outside: 1.25 %.
    grid = empty((80, 80, 3), affine_of([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]], (-0.51, -0.2, 0)))
    assert resampled_onto(scan, grid).warnings[1].startswith("does not cover 1.2 %")


def test_the_name_and_earlier_warnings_stay() -> None:
    scan = Volume(np.ones((4, 4, 4)), np.eye(4), "flair", warnings=("repaired",))
    resampled = resampled_onto(scan, empty((2, 2, 2), np.diag([1.2, 1.1, 1.3, 1.0])))
    assert resampled.name == "flair"
    assert resampled.warnings == (
        "repaired",
        "was resampled from 1 x 1 x 1 mm onto 1.2 x 1.1 x 1.3 mm",
    )
    assert resampled.voxels.dtype == np.float32


def test_integers_are_not_rounded() -> None:
    scan = Volume(np.array([0, 3], dtype=np.int16).reshape(2, 1, 1), np.eye(4))
    grid = empty((1, 1, 1), affine_of([[1, 0, 0], [0, 1, 0], [0, 0, 1]], (0.5, 0, 0)))
    assert resampled_onto(scan, grid).voxels.item() == 1.5


def test_no_overlap_is_an_error() -> None:
    scan = empty((4, 5, 6), OBLIQUE, "scan")
    far = OBLIQUE.copy()
    far[0, 3] += 500
    with pytest.raises(GeometryError, match="an overlap with the grid of other") as caught:
        resampled_onto(scan, empty((4, 5, 6), far, "other"))
    assert caught.value.where == "scan"
