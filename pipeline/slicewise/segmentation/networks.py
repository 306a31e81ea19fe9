"""Builds the network that a configuration names, and fits those of other packages in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from slicewise.config import NETWORKS, UNET, Config
from slicewise.errors import ConfigError, ScanError
from slicewise.segmentation.memory_needs import require_memory_for_weights
from slicewise.segmentation.unet import UNet


class NetworkAdapter(nn.Module):
    """A network of another package that takes slices of any size, as the U-Net does.

    Slices are padded at their lower and right edge to the multiple that the network needs
    (``size_divisor``), and its logits are cropped back; this is the only place that does so.

    Args:
        network: maps (N, in_channels, H, W) to (N, out_channels, H, W); ``docs/extending.md``
            lists what else it may offer.
        config: that names it.
    """

    def __init__(self, network: nn.Module, config: Config) -> None:
        super().__init__()
        self.network = network
        self.name = config.network.name
        self.in_channels, self.out_channels = config.in_channels, config.out_channels
        self.size_divisor = int(getattr(network, "size_divisor", 1))

    @property
    def outputs(self) -> nn.ModuleList:
        """The convolutions that end in logits; none where the network does not name them."""
        return nn.ModuleList(getattr(self.network, "outputs", ()))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels, H, W) of slices (N, in_channels, H, W).

        Raises:
            ScanError: the number of channels is not the network's.
            ConfigError: the network returns something else than logits of this shape.
        """
        padded = self._padded(x)
        return self._cropped(self.network(padded), padded, x)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Like ``forward``, with the logits of lower levels where the network offers them."""
        if not hasattr(self.network, "levels"):
            return [self(x)]
        padded = self._padded(x)
        top, *lower = cast(Any, self.network).levels(padded)
        return [
            self._cropped(top, padded, x),
            *(self._cropped(level, padded, x, is_top=False) for level in lower),
        ]

    def _padded(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ScanError(
                "network input",
                expected=f"slices of shape (N, {self.in_channels}, H, W)",
                found=f"shape {tuple(x.shape)}",
                remedy="give the contrasts and context slices that the network was built for",
            )
        rows, columns = (-side % self.size_divisor for side in x.shape[2:])
        if rows == columns == 0:
            return x
        return functional.pad(x, (0, columns, 0, rows), mode="replicate")

    def _cropped(self, logits: Any, padded: Tensor, x: Tensor, *, is_top: bool = True) -> Tensor:
        """What of the logits lies on the slices, not on their padding."""
        expected = (len(x), self.out_channels, *padded.shape[2:])
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else "something else"
        if not isinstance(logits, Tensor) or (
            shape != expected if is_top else shape[:2] != expected[:2]
        ):
            raise ConfigError(
                f"network.name: {self.name}",
                expected=f"a network that returns logits of shape {expected}",
                found=str(shape),
                remedy="correct the network; docs/extending.md says what it must return",
            )
        rows, columns = (
            math.ceil(side * level / whole)
            for side, level, whole in zip(
                x.shape[2:], logits.shape[2:], padded.shape[2:], strict=True
            )
        )
        return logits[..., :rows, :columns]


SegmentationNetwork = UNet | NetworkAdapter


def build_network(config: Config) -> SegmentationNetwork:
    """Build the network that a configuration names, with random weights.

    Raises:
        ConfigError: the network of another package refuses its options, or the weights cannot fit
            into the memory of this machine.
    """
    if config.network.name == UNET or config.network.name in NETWORKS.own:
        # A network of another package may not be able to exist without memory.
        require_memory_for_weights(lambda: _build(config), config)
    return _build(config)


def _build(config: Config) -> SegmentationNetwork:
    section = config.network
    if section.name == UNET:
        return UNet.from_config(config)
    channels = config.in_channels, config.out_channels
    if section.name in NETWORKS.own:
        network = _monai(section.name)(section.options, *channels, section.window)
    else:
        network = NETWORKS.build(section.name, section.options, *channels, section.window)
    return NetworkAdapter(network, config)


def init_output_bias(network: SegmentationNetwork, class_priors: Tensor) -> None:
    """Set the biases of the outputs, so that an untrained network predicts the class priors.

    From a probability of one half everywhere, a structure of some pixels is not reached in some
    hundred steps: first all pixels have to become background. A network that does not name its
    outputs stays as it is.

    Args:
        network: just built.
        class_priors: share of each class among the pixels, from background on, each above 0;
            (classes,).

    Source:
        Lin et al.: Focal Loss for Dense Object Detection. ICCV 2017, section 4.1.
    """
    logits = class_priors.log()
    bias = logits[1:] - logits[0] if network.out_channels == 1 else logits
    with torch.no_grad():
        for output in network.outputs:
            output.get_parameter("bias").copy_(bias)


def _monai(name: str) -> Callable[..., nn.Module]:
    # Imports every network of MONAI.
    from slicewise.segmentation import monai_networks

    return {
        "segresnet": monai_networks.SegResNet,
        "attention_unet": monai_networks.AttentionUnet,
        "flexible_unet": monai_networks.FlexibleUNet,
        "dynunet": monai_networks.DynUNet,
    }[name]
