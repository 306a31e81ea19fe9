"""A batch in parts: only one of them has its feature maps in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from slicewise.segmentation.networks import SegmentationNetwork


def levels_in_parts(
    network: SegmentationNetwork, images: torch.Tensor, parts: int
) -> list[torch.Tensor]:
    """``network.levels``, whose backward pass computes each part of the batch again.

    A loss over the whole batch has the gradients that it would have with all in memory, as long as
    no layer lets the windows of a batch depend on one another.

    Args:
        network: in training mode.
        images: (N, C, H, W).
        parts: number of parts; 1 keeps all feature maps.

    Returns:
        Logits (N, K, h, w) of each level.

    Source:
        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.
    """
    if parts == 1:
        return network.levels(images)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _unchanged_statistics(network)

    levels = [
        checkpoint(network.levels, part, use_reentrant=False, context_fn=contexts)
        for part in images.chunk(parts)
    ]
    return [torch.cat(level) for level in zip(*levels, strict=True)]


@contextmanager
def _unchanged_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch normalisation not count a window a second time."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms]
    before = [None if count is None else count.clone() for count in counts]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for count, value in zip(counts, before, strict=True):
            if count is not None and value is not None:
                count.copy_(value)
