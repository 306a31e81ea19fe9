"""What cannot fit into memory is refused before any of it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import ConfigError, ConfigErrors
from slicewise.segmentation.networks import build_network
from slicewise.segmentation.training import Training
from slicewise.segmentation.unet import UNet

MakeConfig = Callable[..., Config]


@pytest.mark.fault(111, "E")
@pytest.mark.parametrize(
    "network",
    [
        {"features": (10**9,)},
        {"features": (10**9, 10**9)},
        {"features": (4, 10**6, 10**6)},
        {"context_slices": 10**9},
    ],
)
def test_weights_that_cannot_fit(make_config: MakeConfig, network: dict[str, Any]) -> None:
    config = make_config(network=network)
    with pytest.raises(ConfigError, match=r"weights of .* GB") as caught:
        build_network(config)
    assert caught.value.where == "network.features"


@pytest.mark.fault(111, "E")
@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"batch_size": 10**9}},
        {"network": {"window": (10**6, 10**6)}},
        {"network": {"context_slices": 10**5}, "training": {"batch_size": 10**6}},
    ],
)
def test_batches_that_cannot_fit(
    make_config: MakeConfig, cases: Sequence[CachedCase], sections: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=r"need at least [\d,]+ GB"):
        Training(make_config(**sections), cases, [], "0")


@pytest.mark.fault(111, "E")
@pytest.mark.parametrize(
    "network",
    [
        {"features": (4,) * 60},
        {"features": (10**12,)},
        {"window": (2**62, 2**62)},
        {"context_slices": 10**12},
    ],
)
def test_numbers_that_no_network_has(make_config: MakeConfig, network: dict[str, Any]) -> None:
    with pytest.raises((ConfigErrors, ValueError)):
        make_config(network=network)


def test_no_random_number_is_used_up(make_config: MakeConfig) -> None:
    config = make_config()
    torch.manual_seed(3)
    network = build_network(config)
    torch.manual_seed(3)
    expected = UNet.from_config(config)
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)
