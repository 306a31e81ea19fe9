"""Refuses networks and batches that cannot fit into memory, before any of it is asked for."""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch
from torch import Tensor, nn

from slicewise.config import UNET, Config
from slicewise.errors import ConfigError

_BYTES = 4
"""Of a float32."""
_MAPS = 2
"""Feature maps at full resolution that a training step keeps, at the very least."""
_OF_EACH_WEIGHT = 4
"""A value of its own, its gradient, and two running averages of AdamW."""
_PROBABILITIES = 3
"""Copies of the probabilities of a window: from the network, weighted and blended."""
_LIBRARIES_BYTES = 600_000_000
"""A process that has loaded torch, MONAI and MLflow."""
_TOO_MANY = float("inf")


def require_memory_for_weights(build: Callable[[], nn.Module], config: Config) -> None:
    """Refuse a network whose weights cannot fit into the memory of this machine.

    Args:
        build: makes the network; called once, with tensors that take no memory.
        config: that names it.

    Raises:
        ConfigError: with the memory that the weights would need.
    """
    needed = _BYTES * _parameters(build)
    available = psutil.virtual_memory().total
    if needed > available:
        is_unet = config.network.name == UNET
        raise ConfigError(
            "network.features" if is_unet else "network.options",
            expected=f"a network that fits into the memory of this machine, {_gb(available)}",
            found=f"weights of {_gb(needed)}",
            remedy="use fewer channels",
        )


def require_memory_for_training(config: Config, device: torch.device) -> None:
    """Refuse batches of training that cannot fit into the memory of the device.

    Raises:
        ConfigError: with the memory that one batch would need.
    """
    network, batch_size = config.network, config.training.batch_size
    height, width = network.window
    kept = _MAPS * network.features[0] if network.name == UNET else 0
    channels = config.in_channels + config.out_channels + kept
    needed = _BYTES * batch_size * height * width * channels
    available = _memory_of(device)
    if needed > available:
        raise ConfigError(
            "training.batch_size, network.window, network.context_slices",
            expected=f"batches that fit into {_gb(available)} of memory",
            found=f"{batch_size:,} windows of {height:,} x {width:,} pixels with "
            f"{config.in_channels:,} input channels, which need at least {_gb(needed)}",
            remedy="lower one of these",
        )


def training_memory_bytes(
    build: Callable[[], nn.Module], config: Config, device: torch.device
) -> float:
    """Memory of this machine that a process needs to train, at least.

    Args:
        build: makes the network; called once, with tensors that take no memory.
        config: with a fixed precision.
        device: of the training; what a GPU holds is not counted.
    """
    if device.type == "cuda":
        return _LIBRARIES_BYTES
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build().train()
        images = torch.zeros(config.training.batch_size, config.in_channels, *config.network.window)
        kept = _kept_by_autograd(network, images)
    if config.training.precision != "float32":
        kept //= 2
    weights = sum(item.numel() for item in network.parameters())
    return _LIBRARIES_BYTES + kept + _BYTES * _OF_EACH_WEIGHT * weights


def window_memory_bytes(network: nn.Module, config: Config) -> int:
    """Memory that a window takes while a network predicts it, at most.

    All feature maps are counted, although few of them are in memory at the same time.

    Args:
        network: in evaluation mode, on the CPU; it predicts one window. Tensors without memory
            would need modules of torch that take seconds to import.
        config: of its training.
    """
    height, width = config.network.window
    window = torch.zeros(1, config.in_channels, height, width, requires_grad=True)
    kept = _kept_by_autograd(network, window)
    return kept + _BYTES * height * width * _PROBABILITIES * config.out_channels


def _kept_by_autograd(network: nn.Module, images: Tensor) -> int:
    """Bytes that a forward pass keeps for its gradients; 0 if the network does not allow that."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        # Several operations share a storage; kept tensors keep their addresses.
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(images)
    except RuntimeError:
        # One that looks at values that are not there, or does not even fit with one window.
        return 0
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _parameters(build: Callable[[], nn.Module]) -> float:
    """Number of parameters; infinite where torch cannot count them."""
    try:
        # Tensors on the device meta have a shape and no memory. No random number is used up.
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            network = build()
    except RuntimeError as error:
        if "overflow" in str(error):
            return _TOO_MANY
        raise
    return sum(item.numel() for item in network.parameters())


def _memory_of(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def _gb(size_bytes: float) -> str:
    if size_bytes == _TOO_MANY:
        return "more than 9,000,000,000 GB"
    return f"{size_bytes / 1e9:,.1f} GB" if size_bytes < 1e11 else f"{size_bytes / 1e9:,.0f} GB"
