"""Probabilities in bounded memory: sums in place, and maps of slabs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from slicewise.dataset.native_grid import NativeGrid
from slicewise.dataset.preprocessing import to_slices
from slicewise.imaging.volume import Volume
from slicewise.segmentation import probability_maps
from slicewise.segmentation.confidence import uncertainty
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.probability_maps import (
    ProbabilityMaps,
    ProbabilitySums,
    SeenScan,
    SummedProbabilities,
)
from slicewise.segmentation.sliding_window import View

SHAPE = (7, 6, 5)
EVERYTHING = (slice(None), slice(None), slice(None))
VIEWS = [View(axis, mirrored) for mirrored in (None, 0, 1, 2) for axis in range(3)]


def summands(count: int, classes: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn((count, classes, *SHAPE), generator=generator).mul(3).softmax(1)


def summed(values: torch.Tensor) -> ProbabilitySums:
    sums = ProbabilitySums(values.shape[1], SHAPE, len(values))
    for number, item in enumerate(values):
        axis = number % 3
        slices = to_slices(item, axis)
        sums.add(axis, 0, slices[:2])
        sums.add(axis, 2, slices[2:])
    return sums


def maps(sums: ProbabilitySums, temperature: float = 1.0) -> ProbabilityMaps:
    grid = Volume(np.zeros(SHAPE), np.eye(4))
    same = NativeGrid(SHAPE, np.eye(4), SHAPE, tuple(slice(0, size) for size in SHAPE))  # type: ignore[arg-type]
    return ProbabilityMaps(grid, SummedProbabilities([SeenScan(sums, same, 1.0)], 3, temperature))


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_mean_of_slices_from_all_sides(count: int) -> None:
    values = summands(count)
    np.testing.assert_allclose(
        summed(values).mean(EVERYTHING), values.mean(0)[1:].numpy(), rtol=0, atol=1e-6
    )
    np.testing.assert_array_equal(summed(values).classes(), values.mean(0).argmax(0))


@pytest.mark.parametrize("count", [1, 3, 60])
def test_large_sums_are_rounded_to_16_bits(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(probability_maps, "_LARGE_BYTES", 2 * 4 * np.prod(SHAPE) - 1)
    values = summands(count)
    sums = summed(values)
    assert sums._sums.dtype == np.uint16
    found = sums.mean(EVERYTHING)
    assert found.dtype == np.float32
    steps = 65_535 // count
    np.testing.assert_allclose(found, values.mean(0)[1:].numpy(), rtol=0, atol=0.5 / steps + 1e-6)
    certain = torch.ones(count, 3, *SHAPE)
    assert (summed(certain).mean(EVERYTHING) == 1).all()


@pytest.mark.parametrize("numbers", [1, 195, 10**6])
def test_slabs_change_nothing(monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    whole = maps(summed(summands(3)), temperature=1.4)
    labels = {"a": 1, "b": 2}
    expected = label_map(whole, labels, []), uncertainty(whole), list(whole)
    monkeypatch.setattr(probability_maps, "_SLAB_NUMBERS", numbers)
    found = maps(summed(summands(3)), temperature=1.4)
    np.testing.assert_array_equal(label_map(found, labels, []).voxels, expected[0].voxels)
    np.testing.assert_allclose(uncertainty(found).voxels, expected[1].voxels, atol=1e-6)
    assert len(found) == 3
    for one, other in zip(found, expected[2], strict=True):
        np.testing.assert_allclose(one.voxels, other.voxels, atol=1e-6)
    np.testing.assert_array_equal(found[-1].voxels, found[1:][1].voxels)


@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("context", [0, 2])
def test_a_view_is_that_of_the_mirrored_volume(view: View, context: int) -> None:
    volume = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    depth = SHAPE[view.axis]
    found = torch.cat(
        [
            view.inputs(volume, range(start, min(start + 2, depth)), context)
            for start in range(0, depth, 2)
        ]
    )
    mirrored = volume if view.mirrored is None else volume.flip(view.mirrored + 1)
    slices = to_slices(mirrored, view.axis)  # (D, C, H, W)
    around = np.arange(depth)[:, None] + np.arange(-context, context + 1)
    expected = slices[torch.from_numpy(around.clip(0, depth - 1))].flatten(1, 2)
    if view.mirrored == view.axis:
        expected = expected.flip(0)
    assert torch.equal(found, expected)
    middle = found[:, context * 2 : context * 2 + 2]
    assert torch.equal(view.turned(middle), to_slices(volume, view.axis))
