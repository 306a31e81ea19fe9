"""Cached cases in, batches of windows out; what a batch holds depends on seed and step alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.dataset.cache import CachedCase


@dataclass(frozen=True)
class Batch:
    """Windows for one step.

    Attributes:
        images: (N, C, H, W) float32.
        labels: (N, H, W) int64 classes.
        cases: name of the case of each window.
    """

    images: torch.Tensor
    labels: torch.Tensor
    cases: tuple[str, ...]


class WindowSampler:
    """Draws windows from the slices of the training cases.

    A share of each batch is centred on a labelled voxel of a class drawn evenly, so that small
    structures are seen; the rest is drawn evenly over all slices.

    Args:
        cases: training cases.
        window: height and width; smaller slices are padded with their edge.
        context_slices: neighbours on either side that join as channels.
        foreground_fraction: share of the batch that is centred on a labelled voxel.
        seed: with the step, decides every draw.
    """

    def __init__(
        self,
        cases: Sequence[CachedCase],
        window: tuple[int, int],
        context_slices: int,
        foreground_fraction: float,
        seed: int,
    ) -> None:
        self.cases = cases
        self.window = window
        self.context_slices = context_slices
        self.foreground_fraction = foreground_fraction
        self.seed = seed
        self._slices = np.array(
            [(c, d) for c, case in enumerate(cases) for d in range(len(case.image))], dtype=np.int64
        )
        labelled = [
            (int(number), c)
            for c, case in enumerate(cases)
            for number in np.unique(case.points[:, 0])
        ]
        self._by_class = {
            number: [c for other, c in labelled if other == number] for number, _ in labelled
        }

    @property
    def slice_count(self) -> int:
        """Slices of all cases: what an epoch draws."""
        return len(self._slices)

    def batch(self, step: int, size: int) -> Batch:
        """The windows of one step."""
        random = np.random.default_rng([self.seed, step])
        centred = round(size * self.foreground_fraction) if self._by_class else 0
        windows = [
            self._centred(random) if number < centred else self._anywhere(random)
            for number in range(size)
        ]
        return Batch(
            torch.from_numpy(np.stack([image for image, _, _ in windows]).astype(np.float32)),
            torch.from_numpy(np.stack([label for _, label, _ in windows]).astype(np.int64)),
            tuple(name for _, _, name in windows),
        )

    def _centred(self, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], str]:
        number = random.choice(sorted(self._by_class))
        case = self.cases[random.choice(self._by_class[number])]
        points = case.points[case.points[:, 0] == number]
        _, depth, row, column = points[random.integers(len(points))]
        return self._cut(case, int(depth), (int(row), int(column)))

    def _anywhere(self, random: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any], str]:
        case_number, depth = self._slices[random.integers(len(self._slices))]
        case = self.cases[case_number]
        height, width = case.image.shape[-2:]
        return self._cut(
            case, int(depth), (int(random.integers(height)), int(random.integers(width)))
        )

    def _cut(
        self, case: CachedCase, depth: int, centre: tuple[int, int]
    ) -> tuple[NDArray[Any], NDArray[Any], str]:
        spans = [
            window_span(size, window, middle)
            for size, window, middle in zip(case.label.shape[1:], self.window, centre, strict=True)
        ]
        rows, columns = (slice(start, stop) for start, stop in spans)
        neighbours = context_indices(depth, len(case.image), self.context_slices)
        image = case.image[neighbours, :, rows, columns]  # (2k+1, C, h, w)
        image = image.reshape(-1, *image.shape[-2:])  # ((2k+1) * C, h, w)
        label = case.label[depth, rows, columns]  # (h, w)
        padding = [
            padding_of(size, window) for size, window in zip(label.shape, self.window, strict=True)
        ]
        return (
            np.pad(image, [(0, 0), *padding], mode="edge"),
            np.pad(label, padding, mode="edge"),
            case.name,
        )


def context_indices(depth: int, slice_count: int, context_slices: int) -> NDArray[np.int64]:
    """Indices of a slice with its neighbours; beyond the ends the edge slice is repeated."""
    offsets = np.arange(-context_slices, context_slices + 1)
    return np.clip(depth + offsets, 0, slice_count - 1)


def with_context(slices: torch.Tensor, context_slices: int) -> torch.Tensor:
    """Join each slice with its neighbours: (D, C, H, W) to (D, (2k+1) * C, H, W)."""
    indices = np.stack(
        [context_indices(depth, len(slices), context_slices) for depth in range(len(slices))]
    )
    joined = slices[torch.from_numpy(indices)]  # (D, 2k+1, C, H, W)
    return joined.flatten(1, 2)


def window_span(size: int, window: int, middle: int) -> tuple[int, int]:
    """Start and stop of a window around a middle, moved inside; the whole length if it fits."""
    start = min(max(middle - window // 2, 0), max(size - window, 0))
    return start, min(start + window, size)


def padding_of(size: int, window: int) -> tuple[int, int]:
    """Pixels to add before and after, so that a slice fills the window."""
    missing = max(window - size, 0)
    return missing // 2, missing - missing // 2
