"""Augmentations of other packages, which are applied after those of Slicewise."""

from __future__ import annotations

import torch

from slicewise.config import AUGMENTATIONS, AugmentationSection
from slicewise.errors import ConfigError


class AdditionalAugmentation:
    """Applies the augmentations of ``augmentation.additional`` in their order.

    Args:
        section: with their names and options.

    Raises:
        ConfigError: an augmentation refuses its options.
    """

    def __init__(self, section: AugmentationSection) -> None:
        self.steps = {
            name: AUGMENTATIONS.build(name, options) for name, options in section.additional.items()
        }

    def __call__(
        self, images: torch.Tensor, labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Augment a batch at random.

        Args:
            images: (N, C, H, W) normalised intensities.
            labels: (N, H, W) classes.
            generator: on the CPU; the only source of randomness.

        Raises:
            ConfigError: an augmentation changes the shape of images or labels.
        """
        expected = images.shape, labels.shape
        for name, augment in self.steps.items():
            images, labels = augment(images, labels, generator)
            if (images.shape, labels.shape) != expected:
                raise ConfigError(
                    f"augmentation.additional.{name}",
                    expected="images and labels of shapes "
                    + " and ".join(str(tuple(shape)) for shape in expected),
                    found=f"{tuple(images.shape)} and {tuple(labels.shape)}",
                    remedy="correct the augmentation; docs/extending.md describes its result",
                )
        return images, labels
