"""What a figure shows of the windows is what inference did."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from slicewise.config import Config
from slicewise.errors import UsageError
from slicewise.imaging.volume import Volume
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.tiles import tile_slice
from slicewise.segmentation.unet import UNet

MakeConfig = Callable[..., Config]


def a_predictor(config: Config) -> Predictor:
    torch.manual_seed(3)
    return Predictor(config, [Member(UNet.from_config(config).eval(), config)], torch.device("cpu"))


def a_scan(*shape: int) -> Volume:
    voxels = np.random.default_rng(1).normal(100, 20, shape).astype(np.float32)
    return Volume(voxels, np.diag([1.5, 1.2, 4.0, 1.0]), "scan")


@pytest.mark.parametrize("shape", [(37, 21, 6), (37, 11, 6), (12, 40, 1)])
def test_weighted_mean_of_the_tiles_is_the_blended_slice(
    make_config: MakeConfig, shape: tuple[int, int, int]
) -> None:
    config = make_config(data={"labels": {"disc": 1, "ring": 2}})
    sliced = tile_slice(a_predictor(config), a_scan(*shape))
    total, weights = torch.zeros(sliced.probabilities.shape), torch.zeros(sliced.picture.shape)
    for tile in sliced.tiles:
        place = (slice(tile.top, tile.top + 16), slice(tile.left, tile.left + 16))
        total[:, *place] += tile.probabilities * torch.from_numpy(sliced.weights)
        weights[place] += torch.from_numpy(sliced.weights)
    assert len(sliced.tiles) > 1
    assert weights.min() > 0
    assert torch.allclose(total / weights, sliced.probabilities, atol=1e-5)
    assert sliced.spacing_mm == pytest.approx((1.5, 1.2))


def test_slice_is_that_of_the_whole_prediction(make_config: MakeConfig) -> None:
    predictor, scan = a_predictor(make_config()), a_scan(37, 21, 6)
    sliced = tile_slice(predictor, scan)
    mask = predictor.predict(scan).reoriented("RAS").voxels
    fullest = int(np.count_nonzero(mask, axis=(0, 1)).argmax())
    assert np.array_equal(sliced.classes, mask[:, :, fullest])


def test_slices_within_the_window_are_not_taken_apart(make_config: MakeConfig) -> None:
    with pytest.raises(UsageError, match="14 x 16"):
        tile_slice(a_predictor(make_config()), a_scan(14, 16, 5))
