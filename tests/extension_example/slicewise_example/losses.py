"""MONAI's Tversky loss."""

from __future__ import annotations

from monai.losses import TverskyLoss as MonaiTverskyLoss
from torch import Tensor, nn

from slicewise.config import Section
from slicewise.config.base import Fraction


class TverskyOptions(Section):
    """Options of ``TverskyLoss``."""

    false_positive_weight: Fraction = 0.3
    """Weight of false-positive pixels; false-negative ones have the rest."""


class TverskyLoss(nn.Module):
    """Weighs false-negative against false-positive pixels (Salehi et al., MLMI 2017)."""

    def __init__(self, options: TverskyOptions, out_channels: int) -> None:
        super().__init__()
        self.is_binary = out_channels == 1
        self.tversky = MonaiTverskyLoss(
            include_background=self.is_binary,
            to_onehot_y=not self.is_binary,
            sigmoid=self.is_binary,
            softmax=not self.is_binary,
            alpha=options.false_positive_weight,
            beta=1 - options.false_positive_weight,
            batch=True,
        )

    def forward(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Loss of logits (N, K, H, W), float32, against classes (N, H, W); a scalar."""
        loss: Tensor = self.tversky(logits, classes[:, None])
        return loss
