"""The layer table: a network and a slice size in, one row a layer in the order of execution out."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
        shape: channels, height and width of its output.
        parameters: count of its trainable numbers.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int


def describe_layers(network: UNet, height: int, width: int) -> list[LayerRow]:
    """List the layers of a U-Net as one slice passes through them.

    The pass runs on the shapes alone of a copy: nothing is computed, the network stays untouched.

    Args:
        network: on any device, in training or not.
        height: rows of the slice.
        width: columns of the slice.

    Raises:
        GeometryError: the slice is too small for the network.
    """
    rows: list[LayerRow] = []
    shapes_only = copy.deepcopy(network).to("meta").eval()

    def record(name: str, layer: nn.Module, output: Tensor) -> None:
        channels, rows_out, columns_out = output.shape[1:]
        rows.append(
            LayerRow(
                name,
                LAYER_KINDS[type(layer)],
                (channels, rows_out, columns_out),
                sum(parameter.numel() for parameter in layer.parameters()),
            )
        )

    for name, layer in _layers(shapes_only):
        layer.register_forward_hook(
            lambda module, _inputs, output, name=name: record(name, module, output)
        )
    with torch.no_grad():
        shapes_only(torch.empty(1, network.in_channels, height, width, device="meta"))
    return rows


def _layers(network: UNet) -> list[tuple[str, nn.Module]]:
    """Modules of the table, without those inside a double convolution."""
    return [
        (name, module)
        for name, module in network.named_modules()
        if type(module) in LAYER_KINDS and ".conv." not in name
    ]
