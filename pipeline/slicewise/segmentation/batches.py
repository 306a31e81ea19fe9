"""Training batches on their device: sampled, augmented, reproducible by seed and step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from slicewise.config import Config
from slicewise.dataset.additional_augmentation import AdditionalAugmentation
from slicewise.dataset.augmentation import augment, drop_contrast, mirror
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.plane import known_axes
from slicewise.dataset.sampling import Batch, WindowSampler
from slicewise.segmentation.device import memory_format_of
from slicewise.segmentation.seeding import seed_of_step


class TrainingBatches:
    """The augmented batch of each step.

    Args:
        cases: that are learned from.
        config: sampling, augmentation, batch size and seed.
        device: where the batches are needed.
    """

    def __init__(self, cases: Sequence[CachedCase], config: Config, device: torch.device) -> None:
        self.sampler = WindowSampler(cases, config)
        self._config, self._device = config, device
        self._memory_format = memory_format_of(config.training)
        self._additional = AdditionalAugmentation(config.augmentation)

    def of_step(self, step: int) -> tuple[Batch, torch.Tensor, torch.Tensor]:
        """The windows as they were sampled; images (N, C, H, W) and labels (N, H, W)."""
        batch = self.sampler.batch(step, self._config.training.batch_size)
        generator = torch.Generator().manual_seed(seed_of_step(self._config.seed, step))
        images, labels = self._augmented(batch, generator)
        return batch, images.contiguous(memory_format=self._memory_format), labels

    def _augmented(
        self, batch: Batch, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        section = self._config.augmentation
        images, labels = batch.images.to(self._device), batch.labels.to(self._device)
        contrasts = len(self._config.data.contrasts)
        by_contrast = images.unflatten(1, (-1, contrasts))  # (N, 2k+1, C, H, W)
        axes = known_axes(self._config.preprocessing)
        if axes is not None:
            across = torch.tensor(axes)[batch.views]
            by_contrast, labels = mirror(by_contrast, labels, across, section, generator)
        images = drop_contrast(by_contrast, section, generator).flatten(1, 2)
        images, labels = augment(images, labels, section, generator)
        return self._additional(images, labels, generator)
