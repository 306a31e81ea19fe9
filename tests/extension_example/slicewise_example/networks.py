"""A network that sees each slice at two scales."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from slicewise.config import Section


class TwoScalesOptions(Section):
    """Options of ``TwoScales``."""

    channels: int = 8
    """Channels of both scales."""


class TwoScales(nn.Module):
    """Adds what a convolution sees of the slice to what it sees of the slice at half its size."""

    size_divisor = 2
    """Slices are padded to a multiple of this many pixels."""

    def __init__(
        self,
        options: TwoScalesOptions,
        in_channels: int,
        out_channels: int,
        _window: tuple[int, int],
    ) -> None:
        super().__init__()
        channels = options.channels
        self.fine = nn.Sequential(nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU())
        self.coarse = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, channels, 2, stride=2),
        )
        self.logits = nn.Conv2d(channels, out_channels, 1)

    @property
    def outputs(self) -> list[nn.Module]:
        """The convolution that ends in logits; its bias starts from the class priors."""
        return [self.logits]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, out_channels, H, W) of slices (N, in_channels, H, W)."""
        return cast(Tensor, self.logits(self.fine(x) + self.coarse(x)))
