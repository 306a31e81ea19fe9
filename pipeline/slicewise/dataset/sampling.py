"""Sampling of training batches from cached cases, reproducible by seed and step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.coordinates import coordinates
from slicewise.dataset.plane import stack_axes

_COUNTED_BATCHES = 8


@dataclass(frozen=True)
class Batch:
    """Windows of one training step.

    Attributes:
        images: (N, C, H, W) float32; the last channels are coordinates where the network sees them.
        labels: (N, H, W) int64 classes.
        views: (N,) int64, the one of ``stack_axes`` that is normal to each window.
        cases: name of the case of each window.
        context_labels: (N, 2k+1, H, W) uint8 classes of slices and their context; None where
            nothing needs them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    views: torch.Tensor
    cases: tuple[str, ...]
    context_labels: torch.Tensor | None = None

    def pinned(self) -> Batch:
        """The same in memory that a GPU copies from while this process goes on."""
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())


@dataclass(frozen=True)
class _Window:
    """One window: (C, H, W) intensities, (D, H, W) classes, view, name of the case."""

    image: NDArray[Any]
    labels: NDArray[Any]
    view: int
    case: str


class WindowSampler:
    """Samples windows from the slices of the training cases.

    A fraction of each batch is centred on a labelled voxel of a class that is drawn uniformly, so
    that small structures are included; the rest is drawn uniformly from all slices.

    Args:
        cases: training cases.
        config: plane, window (smaller slices are padded by their edge), context slices, fraction
            of the batch that is centred on a labelled voxel, and seed.
    """

    def __init__(self, cases: Sequence[CachedCase], config: Config) -> None:
        self.cases = cases
        self.window = config.network.window
        self.context_slices = config.network.context_slices
        self._has_coordinates = config.network.coordinates
        self.foreground_fraction = config.training.foreground_fraction
        self.seed = config.seed
        self._has_context_labels = config.augmentation.contrast == "synthetic"
        self._views = stack_axes(config.preprocessing)
        # Slices of each case and view, the views of a case one after another, as running sums.
        self._slices = np.cumsum(
            [case.label.shape[view] for case in cases for view in self._views], dtype=np.int64
        )
        labelled: dict[int, list[int]] = defaultdict(list)
        for c, case in enumerate(cases):
            for number in np.unique(case.points[:, 0]).tolist():
                labelled[number].append(c)
        self._by_class = {number: np.array(found) for number, found in labelled.items()}

    @property
    def slice_count(self) -> int:
        """Number of slices of all cases and views, which is the size of an epoch."""
        return int(self._slices[-1]) if len(self._slices) else 0

    def batch(self, step: int, size: int) -> Batch:
        """The windows of one step."""
        random = np.random.default_rng([self.seed, step])
        centred = round(size * self.foreground_fraction) if self._by_class else 0
        windows = [
            self._centred(random) if number < centred else self._anywhere(random)
            for number in range(size)
        ]
        labels = torch.from_numpy(np.stack([item.labels for item in windows]))
        return Batch(
            torch.from_numpy(np.stack([item.image for item in windows]).astype(np.float32)),
            labels[:, labels.shape[1] // 2].long(),
            torch.tensor([item.view for item in windows]),
            tuple(item.case for item in windows),
            labels if self._has_context_labels else None,
        )

    def class_priors(self, size: int, classes: int) -> torch.Tensor:
        """Frequency of each class among the pixels of the first batches, (classes,) float32.

        One pixel is added to each class, so that no frequency is 0.
        """
        batches = (self.batch(step, size).labels for step in range(_COUNTED_BATCHES))
        counts = sum(torch.bincount(labels.flatten(), minlength=classes) for labels in batches)
        counted = torch.as_tensor(counts) + 1
        return (counted / counted.sum()).float()

    def _centred(self, random: np.random.Generator) -> _Window:
        number = random.choice(sorted(self._by_class))
        case = self.cases[random.choice(self._by_class[number])]
        points = case.points[case.points[:, 0] == number]
        _, *place = (int(value) for value in points[random.integers(len(points))])
        # With a single view no number is drawn, so that such windows do not depend on it.
        view = self._views[random.integers(len(self._views))] if len(self._views) > 1 else 0
        depth = place.pop(view)
        row, column = place
        return self._cut(case, view, depth, (row, column))

    def _anywhere(self, random: np.random.Generator) -> _Window:
        place = int(random.integers(self.slice_count))
        number = int(np.searchsorted(self._slices, place, side="right"))
        depth = place - int(self._slices[number - 1] if number else 0)
        case = self.cases[number // len(self._views)]
        view = self._views[number % len(self._views)]
        height, width = (size for axis, size in enumerate(case.label.shape) if axis != view)
        centre = (int(random.integers(height)), int(random.integers(width)))
        return self._cut(case, view, depth, centre)

    def _cut(self, case: CachedCase, view: int, depth: int, centre: tuple[int, int]) -> _Window:
        images, labels = seen_along(case.image, view), np.moveaxis(case.label, view, 0)
        spans = [
            window_span(size, window, middle)
            for size, window, middle in zip(labels.shape[1:], self.window, centre, strict=True)
        ]
        rows, columns = (slice(start, stop) for start, stop in spans)
        neighbours = context_indices(depth, len(labels), self.context_slices)
        image = images[neighbours, :, rows, columns]  # (2k+1, C, h, w)
        image = image.reshape(-1, *image.shape[-2:])  # ((2k+1) * C, h, w)
        if self._has_coordinates:
            places = coordinates(case.label.shape, view, [depth], rows, columns)  # (1, 3, h, w)
            image = np.concatenate([image, places[0]])
        label = labels[neighbours if self._has_context_labels else [depth], rows, columns]
        padding = [
            padding_of(size, window)
            for size, window in zip(label.shape[1:], self.window, strict=True)
        ]
        return _Window(
            np.pad(image, [(0, 0), *padding], mode="edge"),
            np.pad(label, [(0, 0), *padding], mode="edge"),
            view,
            case.name,
        )


def seen_along(slices: NDArray[Any], view: int) -> NDArray[Any]:
    """View of slices (D, C, H, W) that is sliced along another of the axes D, H, W."""
    voxels = np.moveaxis(slices, 1, -1)  # (D, H, W, C)
    return np.moveaxis(np.moveaxis(voxels, view, 0), -1, 1)


def context_indices(depth: int, slice_count: int, context_slices: int) -> NDArray[np.int64]:
    """Indices of a slice and its context; beyond the ends the edge slice is repeated."""
    offsets = np.arange(-context_slices, context_slices + 1)
    return np.clip(depth + offsets, 0, slice_count - 1)


def window_span(size: int, window: int, middle: int) -> tuple[int, int]:
    """Start and stop of a window around a centre, shifted to lie inside if possible."""
    start = min(max(middle - window // 2, 0), max(size - window, 0))
    return start, min(start + window, size)


def padding_of(size: int, window: int) -> tuple[int, int]:
    """Padding before and after, so that a slice fills the window."""
    missing = max(window - size, 0)
    return missing // 2, missing - missing // 2
