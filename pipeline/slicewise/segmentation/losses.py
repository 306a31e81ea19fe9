"""The loss of a training: Dice with cross entropy, or that of another package, in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from slicewise.config import LOSSES, TrainingSection
from slicewise.errors import ConfigError
from slicewise.lean_monai import DiceLoss, GaussianFilter


class SegmentationLoss(nn.Module):
    """The loss that a configuration names, always in float32, of one resolution or several.

    Args:
        section: names the loss.
        out_channels: channels of the network's output.

    Raises:
        ConfigError: the loss of another package refuses its options.
    """

    def __init__(self, section: TrainingSection, out_channels: int) -> None:
        super().__init__()
        self.name = section.loss
        self.of_logits: nn.Module = (
            DiceAndCrossEntropy(section, out_channels)
            if section.loss in LOSSES.own
            else LOSSES.build(section.loss, section.loss_options, out_channels)
        )

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Loss of logits (N, K, H, W) against classes (N, H, W); a scalar.

        Raises:
            ConfigError: the loss of another package is no single number.
        """
        with torch.autocast(logits.device.type, enabled=False):
            loss = self.of_logits(logits.float(), classes)
        if not isinstance(loss, torch.Tensor) or loss.ndim > 0:
            raise ConfigError(
                f"training.loss: {self.name}",
                expected="a loss that returns a tensor of one number, without dimensions",
                found=f"shape {tuple(loss.shape)}"
                if isinstance(loss, torch.Tensor)
                else repr(loss),
                remedy="correct the loss; docs/extending.md says what it must return",
            )
        return loss

    def of_levels(self, levels: Sequence[torch.Tensor], classes: torch.Tensor) -> torch.Tensor:
        """Loss of several resolutions, the highest first, each with half the weight of the last."""
        weights = [0.5**level for level in range(len(levels))]
        losses = []
        for logits in levels:
            smaller = F.interpolate(classes[:, None].float(), size=logits.shape[2:], mode="nearest")
            losses.append(self(logits, smaller[:, 0].long()))
        return torch.stack(
            [weight * loss for weight, loss in zip(weights, losses, strict=True)]
        ).sum() / sum(weights)


class DiceAndCrossEntropy(nn.Module):
    """MONAI's Dice loss, alone or with torch's cross entropy, over the whole batch at once.

    Counting a structure over the batch, not slice by slice, keeps the many slices without it from
    dominating. One output channel means a sigmoid, more a softmax whose background does not count
    for Dice.

    Args:
        section: says whether cross entropy is added, and how labels soften for it.
        out_channels: channels of the network's output.
    """

    def __init__(self, section: TrainingSection, out_channels: int) -> None:
        super().__init__()
        self.binary = out_channels == 1
        self.out_channels = out_channels
        self.with_cross_entropy = section.loss == "dice_ce"
        self.dice = DiceLoss(
            include_background=self.binary,
            sigmoid=self.binary,
            softmax=not self.binary,
            batch=True,
        )
        self.width = section.border_smoothing_pixels
        self.gaussian = GaussianFilter(2, self.width) if self.width > 0 else nn.Identity()

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Loss of logits (N, K, H, W) against classes (N, H, W); a scalar."""
        target = self._target(classes)  # (N, K, H, W)
        loss: torch.Tensor = self.dice(logits, target)
        if self.with_cross_entropy:
            loss = loss + self._cross_entropy(logits, self._softened(target))
        return loss

    def _target(self, classes: torch.Tensor) -> torch.Tensor:
        if self.binary:
            return classes[:, None].float()
        return F.one_hot(classes, self.out_channels).movedim(-1, 1).float()

    def _softened(self, target: torch.Tensor) -> torch.Tensor:
        """Target (N, K, H, W) blurred as if its edge went on, so that its channels still add up."""
        if self.width == 0:
            return target
        margin = math.ceil(4 * self.width)
        wider = F.pad(target, [margin] * 4, mode="replicate")
        softened: torch.Tensor = self.gaussian(wider)[..., margin:-margin, margin:-margin]
        return softened

    def _cross_entropy(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if self.binary:
            return F.binary_cross_entropy_with_logits(logits, target)
        return F.cross_entropy(logits, target)
