"""Scores a network on held-out volumes during training; slices are never scored alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.plane import stack_axes
from slicewise.metrics.overlap import overlap
from slicewise.segmentation.sliding_window import classes_of, predict_views


@dataclass(frozen=True)
class ValidationScore:
    """Dice on the preprocessed grid; final scores are computed on the native one.

    Attributes:
        dice: mean over the cases by structure; NaN where no case has the structure.
    """

    dice: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean over the structures that some case has; 0 when there is none."""
        known = [value for value in self.dice.values() if not math.isnan(value)]
        return float(np.mean(known)) if known else 0.0


def validate(
    network: nn.Module, cases: Sequence[CachedCase], config: Config, device: torch.device
) -> ValidationScore:
    """Score a network on whole volumes."""
    was_training = network.training
    network.eval()
    scores: dict[str, list[float]] = {name: [] for name in config.data.labels}
    for case in cases:
        stack = torch.from_numpy(case.image.astype(np.float32)).movedim(1, 0)  # (C, D, H, W)
        axes = stack_axes(config.preprocessing)
        probabilities = predict_views(network, stack, axes, config, device)  # (K, D, H, W)
        predicted = classes_of(probabilities[None])[0].numpy()
        for number, name in enumerate(config.data.labels, start=1):
            scores[name].append(overlap(predicted, case.label, number).dice)
    network.train(was_training)
    return ValidationScore({name: _mean(values) for name, values in scores.items()})


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
