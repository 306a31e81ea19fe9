"""Rows without signal."""

from __future__ import annotations

import torch
from torch import Tensor

from slicewise.config import Section
from slicewise.config.base import Fraction


class BlankRowsOptions(Section):
    """Options of ``BlankRows``."""

    probability: Fraction = 0.2
    """Share of windows that lose a row."""


class BlankRows:
    """Sets one row of some windows to zero, in all channels."""

    def __init__(self, options: BlankRowsOptions) -> None:
        self.probability = options.probability

    def __call__(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Change a batch of windows.

        Args:
            images: (N, C, H, W) normalised intensities.
            labels: (N, H, W) classes.
            generator: on the CPU; the only source of randomness.
        """
        chosen = torch.nonzero(torch.rand(len(images), generator=generator) < self.probability)
        rows = torch.randint(images.shape[2], (len(chosen),), generator=generator)
        images = images.clone()
        images[chosen[:, 0], :, rows] = 0
        return images, labels
