"""Prediction where memory is full: fewer windows at a time, then without the GPU, said once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from slicewise.config import Config
from slicewise.imaging.memory import MemoryShortageError, within_memory
from slicewise.imaging.volume import Volume
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.sliding_window import SingleWindowError

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")


class Limited(nn.Module):
    """The sigmoid of its first channel; raises the error of torch for more windows than fit."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.tried: list[int] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.tried.append(len(windows))
        if len(windows) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return windows[:, :1]


class OnSmallGpu(Predictor):
    """One whose GPU has no memory left."""

    network: Limited

    @property
    def _uses_gpu(self) -> bool:
        return self.network.most == 0

    def _use_cpu(self) -> None:
        super()._use_cpu()
        self.network.most = 4


def a_scan() -> Volume:
    voxels = np.random.default_rng(0).integers(1, 900, (11, 12, 9)).astype(np.int16)
    return Volume(voxels, np.diag([1.0, 1.0, 3.0, 1.0]))


def a_config(make_config: MakeConfig, window: tuple[int, int] = (16, 16)) -> Config:
    return make_config(
        network={"window": window},
        preprocessing={"plane": "all"},
        inference={"batch_size": 8, "mirror_axes": ["left_right"]},
    )


@pytest.mark.parametrize("window", [(16, 16), (8, 8)])
def test_batches_become_smaller_and_stay_so(
    make_config: MakeConfig, window: tuple[int, int]
) -> None:
    config = a_config(make_config, window)
    plenty, limited = Limited(100), Limited(3)
    expected = Predictor(config, [Member(plenty, config)], CPU).predict(a_scan())
    predictor = Predictor(config, [Member(limited, config)], CPU)
    found = predictor.predict(a_scan())
    np.testing.assert_array_equal(found.voxels, expected.voxels)
    np.testing.assert_allclose(
        found.probabilities[1].voxels, expected.probabilities[1].voxels, atol=1e-6
    )
    # The first one asks for the memory of a window.
    assert limited.tried[:4] == [1, 8, 4, 2]
    assert max(limited.tried[3:]) == 2
    assert found.notes == ("memory is full: from here on 2 windows at a time instead of 8",)
    assert predictor.predict(a_scan()).notes == ()


def test_no_more_windows_than_half_of_the_free_memory_holds(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = a_config(make_config)
    network = Limited(100)
    member = Member(network, config)
    free_bytes = 7 * member.window_memory_bytes
    monkeypatch.setattr("slicewise.segmentation.inference.free_memory_bytes", lambda: free_bytes)
    found = Predictor(config, [member], CPU).predict(a_scan())
    assert max(network.tried) == 3
    assert found.notes == ("memory is full: from here on 3 windows at a time instead of 8",)


def test_the_cpu_goes_on_alone(make_config: MakeConfig) -> None:
    config = a_config(make_config)
    network = Limited(0)
    predictor = OnSmallGpu(config, [Member(network, config)], CPU)
    predictor.network = network
    found = predictor.predict(a_scan())
    assert found.notes == (
        "the memory of the GPU is too small for a single window: from here on the CPU predicts",
        "memory is full: from here on 4 windows at a time instead of 8",
    )
    expected = Predictor(config, [Member(Limited(100), config)], CPU).predict(a_scan())
    np.testing.assert_array_equal(found.voxels, expected.voxels)
    network.tried.clear()
    assert predictor.predict(a_scan()).notes == ()
    assert max(network.tried) == 4


def test_a_single_window_that_does_not_fit_is_an_error(make_config: MakeConfig) -> None:
    config = a_config(make_config)
    predictor = Predictor(config, [Member(Limited(0), config)], CPU)
    with pytest.raises(MemoryShortageError, match="a scan that fits"), within_memory("scan"):
        predictor.predict(a_scan())
    with pytest.raises(SingleWindowError):
        predictor.predict(a_scan())
