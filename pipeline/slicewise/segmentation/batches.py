"""Training batches on their device: sampled, augmented, reproducible by seed and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from slicewise.config import Config
from slicewise.dataset.additional_augmentation import AdditionalAugmentation
from slicewise.dataset.augmentation import augment, drop_contrast, mirror
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.contrast_augmentation import change_contrast
from slicewise.dataset.plane import known_axes
from slicewise.dataset.sampling import Batch, WindowSampler
from slicewise.segmentation.ahead import MadeAhead
from slicewise.segmentation.device import memory_format_of
from slicewise.segmentation.seeding import seed_of_step


class AugmentedBatch(NamedTuple):
    """What a step learns from.

    Attributes:
        windows: as they were sampled, on the CPU.
        images: (N, C, H, W) float32, intensities before coordinates.
        labels: (N, H, W) int64 classes.
    """

    windows: Batch
    images: torch.Tensor
    labels: torch.Tensor


class TrainingBatches:
    """The augmented batch of each step.

    While the network trains, background threads read the windows of the next steps. For a GPU they
    copy and augment them there, too; a CPU has no cores left for that.

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
        self._windows = MadeAhead(self._sampled)
        self._on_gpu = (
            _MadeOnGpu(self._pinned_and_augmented, device) if device.type == "cuda" else None
        )

    def of_step(self, step: int) -> AugmentedBatch:
        """The batch of a step."""
        if self._on_gpu is not None:
            return self._on_gpu.of_step(step)
        return self._augmented(self._windows.of_step(step), step)

    def _sampled(self, step: int) -> Batch:
        return self.sampler.batch(step, self._config.training.batch_size)

    def _pinned_and_augmented(self, step: int) -> AugmentedBatch:
        return self._augmented(self._sampled(step).pinned(), step)

    def _augmented(self, windows: Batch, step: int) -> AugmentedBatch:
        section = self._config.augmentation
        generator = torch.Generator().manual_seed(seed_of_step(self._config.seed, step))
        images = windows.images.to(self._device, non_blocking=True)
        labels = windows.labels.to(self._device, non_blocking=True)
        contrasts, count = len(self._config.data.contrasts), self._config.coordinate_channels
        images, places = images.tensor_split([images.shape[1] - count], 1)
        by_contrast = images.unflatten(1, (-1, contrasts))  # (N, 2k+1, C, H, W)
        by_contrast = change_contrast(by_contrast, windows.context_labels, section, generator)
        axes = known_axes(self._config.preprocessing)
        if axes is not None:
            across = torch.tensor(axes)[windows.views]
            by_contrast, labels = mirror(by_contrast, labels, across, section, generator)
        images = drop_contrast(by_contrast, section, generator).flatten(1, 2)
        images = torch.cat([images, places], 1) if count else images
        images, labels = augment(images, labels, section, generator, count)
        images, places = images.tensor_split([images.shape[1] - count], 1)
        images, labels = self._additional(images, labels, generator)
        images = torch.cat([images, places], 1) if count else images
        images = images.contiguous(memory_format=self._memory_format)
        return AugmentedBatch(windows, images, labels)


class _MadeOnGpu:
    """Batches that are made in a stream of their own.

    What is drawn on the CPU makes the host wait for the stream that it is sent to.
    """

    def __init__(self, make: Callable[[int], AugmentedBatch], device: torch.device) -> None:
        self._make = make
        self._stream = torch.cuda.Stream(device)
        self._ahead = MadeAhead(self._made)

    def of_step(self, step: int) -> AugmentedBatch:
        batch, is_ready = self._ahead.of_step(step)
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_event(is_ready)
        for tensor in (batch.images, batch.labels):
            # Its memory is not used again before the network is done with it.
            tensor.record_stream(current)
        return batch

    def _made(self, step: int) -> tuple[AugmentedBatch, torch.cuda.Event]:
        # Sets the device of this thread, too.
        with torch.cuda.stream(self._stream):
            return self._make(step), self._stream.record_event()
