"""Features at the bottom of a network: the mean activation of each channel over a whole scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slicewise.config import Config
from slicewise.segmentation.sliding_window import predict_slices

_SAMPLED_SLICES = 12


class BottomFeatures:
    """Collects the activations of the lowest layer while a network predicts.

    Args:
        network: in evaluation mode.
        config: of its training.
    """

    def __init__(self, network: nn.Module, config: Config) -> None:
        self.layer = _lowest_layer(network, config)

    @contextmanager
    def collecting(self) -> Iterator[list[Tensor]]:
        """Yields a list that gets the channel means (N, channels) of each batch."""
        means: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            means.append(output.detach().float().mean((2, 3)).cpu())

        handle = self.layer.register_forward_hook(keep)
        try:
            yield means
        finally:
            handle.remove()

    def of_volume(
        self,
        network: nn.Module,
        volume: Tensor,
        axes: Sequence[int],
        config: Config,
        device: torch.device,
    ) -> list[float]:
        """Features of a volume (C, X, Y, Z), from a few slices of each plane."""
        with self.collecting() as means:
            for axis in axes:
                count = volume.shape[axis + 1]
                chosen = np.linspace(0, count - 1, min(_SAMPLED_SLICES, count))
                numbers = chosen.round().astype(int).tolist()
                predict_slices(network, volume, axis, config, device, chosen=numbers)
        return mean_features(means)


def mean_features(means: Sequence[Tensor]) -> list[float]:
    """The mean over all windows that a network has seen."""
    features: list[float] = torch.cat(list(means)).double().mean(0).tolist()
    return features


def _lowest_layer(network: nn.Module, config: Config) -> nn.Module:
    """The layer whose output has the fewest pixels; the last of equal ones."""
    bottleneck = getattr(network, "bottleneck", None)
    if isinstance(bottleneck, nn.Module):
        return bottleneck
    parameters = list(network.parameters())
    if not parameters:
        return network
    pixels: dict[nn.Module, int] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        # A single pixel is the mean over an image, as attention layers take it.
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            pixels.pop(module, None)
            pixels[module] = output.shape[2:].numel()

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        window = torch.zeros(
            *(1, config.in_channels, *config.network.window), device=parameters[0].device
        )
        with torch.inference_mode():
            network(window)
    finally:
        for handle in handles:
            handle.remove()
    smallest = min(pixels.values())
    return [module for module, count in pixels.items() if count == smallest][-1]
