"""Optimiser, learning-rate schedule and running average of one training."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from slicewise.config import TrainingSection
from slicewise.segmentation.networks import SegmentationNetwork

_SGD_MOMENTUM = 0.99
_OUTPUT_RATE = 10
"""By how much faster than the rest the outputs learn from cross entropy under AdamW.

AdamW moves a weight by its learning rate a step at most. Logits of rare and of sure pixels lie far
from 0, which a bias and few weights that move like all others do not reach in a short training.
Dice alone would drive them to where nothing is probable, and no gradient leads back.
"""
_POLYNOMIAL_POWER = 0.9


def build_optimizer(
    network: SegmentationNetwork, section: TrainingSection
) -> torch.optim.Optimizer:
    """The optimiser that a configuration names; its first group has the configured rate."""
    if section.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(),
            lr=section.learning_rate,
            momentum=_SGD_MOMENTUM,
            weight_decay=section.weight_decay,
            nesterov=True,
            fused=True,
        )
    outputs = list(network.outputs.parameters())
    # Tensors compare by value.
    are_outputs = set(map(id, outputs))
    body = [one for one in network.parameters() if id(one) not in are_outputs]
    faster = _OUTPUT_RATE if section.loss == "dice_ce" else 1
    groups: list[dict[str, Any]] = [
        {"params": body},
        {"params": outputs, "lr": faster * section.learning_rate},
    ]
    return torch.optim.AdamW(
        groups,
        lr=section.learning_rate,
        weight_decay=section.weight_decay,
        fused=True,
    )


def build_schedule(
    optimizer: torch.optim.Optimizer, section: TrainingSection, steps: int
) -> LambdaLR:
    """A linear warm-up, then a fall to zero at the last step."""
    return LambdaLR(optimizer, lambda step: learning_rate_factor(section, step, steps))


def learning_rate_factor(section: TrainingSection, step: int, steps: int) -> float:
    """Share of the peak learning rate at a step in [0, steps]."""
    warmup = round(section.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    if section.schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return float((1 - progress) ** _POLYNOMIAL_POWER)


class RunningAverage(AveragedModel):
    """Exponential moving average of weights and buffers.

    The decay grows from 0 to its value with the number of updates, so that a short run is not
    dominated by its random start.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        def average(
            averaged: torch.Tensor, current: torch.Tensor, updates: torch.Tensor | int
        ) -> torch.Tensor:
            # Counters of batch normalisation are integers.
            if not averaged.is_floating_point():
                return current
            # A tensor, because reading a number back from a GPU makes it wait.
            count = torch.as_tensor(updates, dtype=torch.float32, device=averaged.device)
            weight = 1 - torch.clamp((1 + count) / (10 + count), max=decay)
            return averaged.lerp(current, weight.to(averaged.dtype))

        super().__init__(network, avg_fn=average, use_buffers=True)
