"""Lists the layers of a network in the order of execution, each with the shape of its output."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from slicewise.segmentation.networks import SegmentationNetwork
from slicewise.segmentation.unet import DoubleConv, UNet

LAYER_KINDS: dict[type[nn.Module], str] = {
    DoubleConv: "double convolution",
    nn.MaxPool2d: "max pool",
    nn.ConvTranspose2d: "transposed convolution",
    nn.Conv2d: "1x1 convolution",
}
"""What the table tells of a U-Net; anything deeper belongs to its double convolution."""


@dataclass(frozen=True)
class LayerRow:
    """One executed layer.

    Attributes:
        name: path of the module in the network, such as ``downs.0``.
        kind: what it does, in words.
        shape: channels, height and width of its output; of another network whatever it returns
            for one slice, empty where that is no tensor.
        parameters: count of its trainable numbers.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def describe_layers(network: SegmentationNetwork, height: int, width: int) -> list[LayerRow]:
    """List the layers of a network as one slice passes through them.

    Of the U-Net these are its double convolutions, poolings and the like; of another network all
    modules that have parameters themselves. A copy is passed through: the network stays untouched.

    Args:
        network: on any device, in training or not.
        height: rows of the slice.
        width: columns of the slice.

    Raises:
        GeometryError: the slice is too small for the network.
    """
    rows: list[LayerRow] = []
    # Shapes alone are enough for ours; code of others may not know such tensors.
    device = torch.device("meta" if isinstance(network, UNet) else "cpu")
    copied = copy.deepcopy(network).to(device).eval()

    def record(name: str, layer: nn.Module, output: object) -> None:
        rows.append(
            LayerRow(
                name,
                LAYER_KINDS[type(layer)] if isinstance(network, UNet) else type(layer).__name__,
                tuple(output.shape[1:]) if isinstance(output, Tensor) else (),
                sum(
                    parameter.numel()
                    for parameter in layer.parameters(recurse=isinstance(network, UNet))
                ),
            )
        )

    for name, layer in _layers(copied):
        layer.register_forward_hook(
            lambda module, _inputs, output, name=name: record(name, module, output)
        )
    with torch.no_grad():
        copied(torch.zeros(1, network.in_channels, height, width, device=device))
    return rows


def _layers(network: SegmentationNetwork) -> list[tuple[str, nn.Module]]:
    """Modules of the table, without those inside a double convolution."""
    if not isinstance(network, UNet):
        return [
            (name, module)
            for name, module in network.network.named_modules()
            if next(module.parameters(recurse=False), None) is not None
        ]
    return [
        (name, module)
        for name, module in network.named_modules()
        if type(module) in LAYER_KINDS and ".conv." not in name
    ]
