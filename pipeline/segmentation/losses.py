"""Logits and classes in, the loss out, always in float32."""

from __future__ import annotations

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import nn

from pipeline.config import TrainingSection


class SegmentationLoss(nn.Module):
    """MONAI's Dice loss, alone or with cross entropy, over the whole batch at once.

    Counting a structure over the batch, not slice by slice, keeps the many slices without it from
    dominating. One output channel means a sigmoid, more a softmax whose background does not count
    for Dice.

    Args:
        section: names the loss.
        out_channels: channels of the network's output.
    """

    def __init__(self, section: TrainingSection, out_channels: int) -> None:
        super().__init__()
        self.binary = out_channels == 1
        kind = {"dice": DiceLoss, "dice_ce": DiceCELoss}[section.loss]
        self.loss = kind(
            include_background=self.binary,
            sigmoid=self.binary,
            softmax=not self.binary,
            to_onehot_y=not self.binary,
            batch=True,
        )

    def forward(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Loss of logits (N, K, H, W) against classes (N, H, W); a scalar."""
        with torch.autocast(logits.device.type, enabled=False):
            target = classes[:, None]  # (N, 1, H, W)
            loss: torch.Tensor = self.loss(
                logits.float(), target.float() if self.binary else target
            )
            return loss
