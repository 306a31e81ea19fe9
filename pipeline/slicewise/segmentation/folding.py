"""Batch normalisation folded into the convolutions before it: fewer passes through memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def with_folded_batch_norm(network: nn.Module) -> nn.Module:
    """A copy for prediction, whose convolutions scale and shift as the normalisation would.

    Its answers are those of the network up to rounding. A network without batch normalisation
    right after a convolution is returned as it is.

    Args:
        network: in evaluation mode.
    """
    if not list(_pairs(network)):
        return network
    folded = copy.deepcopy(network)
    for layers, place, convolution, normalization in list(_pairs(folded)):
        layers[place] = fuse_conv_bn_eval(convolution, normalization)
        layers[place + 1] = nn.Identity()
    return folded


def _pairs(
    network: nn.Module,
) -> Iterator[tuple[nn.Sequential, int, nn.Conv2d, nn.BatchNorm2d]]:
    """Convolutions right before batch normalisation, with their layers and their place there."""
    for layers in network.modules():
        if isinstance(layers, nn.Sequential):
            for place, (first, second) in enumerate(pairwise(layers)):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    yield layers, place, first, second
