"""Folded batch normalisation: the same answers, and nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from slicewise.segmentation.folding import with_folded_batch_norm
from slicewise.segmentation.unet import UNet


def a_network(**options: Any) -> UNet:
    """As after a training: no normalisation is the identity."""
    torch.manual_seed(0)
    network = UNet(3, 4, (4, 8), **options)
    network.train()
    for _ in range(3):
        network(2 + 3 * torch.randn(4, 3, 16, 16))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
                module.weight.uniform_(0.5, 2)
                module.bias.uniform_(-1, 1)
    return network.eval()


@pytest.mark.parametrize(
    "options",
    [{}, {"residual": True, "dropout": 0.2}, {"activation": "gelu", "deep_supervision": True}],
)
@torch.no_grad()
def test_answers_are_the_same_without_batch_norm(options: dict[str, Any]) -> None:
    network = a_network(**options)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    folded = with_folded_batch_norm(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    windows = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(folded(windows), network(windows), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_instance_norm_stays() -> None:
    network = a_network(normalization="instance")
    assert with_folded_batch_norm(network) is network
