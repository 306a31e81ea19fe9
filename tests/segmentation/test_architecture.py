"""The layer table adds up and follows the slice through the network."""

from __future__ import annotations

import pytest
import torch

from slicewise.errors import GeometryError
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.unet import UNet


def test_rows_follow_an_odd_slice_through_two_levels() -> None:
    rows = describe_layers(UNet(5, 3, (8, 16)), 13, 22)
    assert [(row.name, row.kind, row.shape) for row in rows] == [
        ("downs.0", "double convolution", (8, 13, 22)),
        ("pool", "max pool", (8, 6, 11)),
        ("downs.1", "double convolution", (16, 6, 11)),
        ("pool", "max pool", (16, 3, 5)),
        ("bottleneck", "double convolution", (32, 3, 5)),
        ("ups.0", "transposed convolution", (16, 6, 10)),
        ("ups.1", "double convolution", (16, 6, 11)),
        ("ups.2", "transposed convolution", (8, 12, 22)),
        ("ups.3", "double convolution", (8, 13, 22)),
        ("final_conv", "1x1 convolution", (3, 13, 22)),
    ]


def test_parameters_by_hand() -> None:
    rows = {row.name: row.parameters for row in describe_layers(UNet(5, 3, (8, 16)), 16, 16)}
    assert rows["downs.0"] == 5 * 8 * 9 + 8 * 8 * 9 + 2 * (8 + 8)
    assert rows["pool"] == 0
    assert rows["ups.0"] == 32 * 16 * 4 + 16
    assert rows["final_conv"] == 8 * 3 + 3


@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_rows_add_up_to_the_network(normalization: str) -> None:
    network = UNet(normalization=normalization, dropout=0.1)
    total = sum(row.parameters for row in describe_layers(network, 256, 192))
    assert total == sum(parameter.numel() for parameter in network.parameters())


def test_network_stays_as_it_was() -> None:
    network = UNet(1, 1, (2,)).train()
    before = {name: values.clone() for name, values in network.state_dict().items()}
    describe_layers(network, 8, 8)
    assert network.training
    for name, values in network.state_dict().items():
        assert values.device.type == "cpu"
        assert torch.equal(values, before[name])
    assert not any(module._forward_hooks for module in network.modules())


def test_too_small_slice_is_an_error() -> None:
    with pytest.raises(GeometryError):
        describe_layers(UNet(1, 1, (2, 2)), 3, 8)
