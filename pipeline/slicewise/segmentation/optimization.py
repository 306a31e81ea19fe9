"""Optimiser, learning-rate schedule and running average of one training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from slicewise.config import TrainingSection
from slicewise.segmentation.networks import SegmentationNetwork
from slicewise.segmentation.process_group import ALONE, ProcessGroup

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


def learning_rate_factor(section: TrainingSection, step: float, steps: int) -> float:
    """Share of the peak learning rate at a step in [0, steps]: a warm-up, then a fall to zero."""
    warmup = round(section.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    if section.schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return float((1 - progress) ** _POLYNOMIAL_POWER)


class Optimization:
    """Moves the weights of a network along their gradients, and averages them over the steps.

    Args:
        network: on its device.
        section: optimiser, clipping, precision and decay of the average.
        device: of the network.
        group: whose processes compute the gradients.

    Attributes:
        average: of the weights; None where none is kept.
    """

    def __init__(
        self,
        network: SegmentationNetwork,
        section: TrainingSection,
        device: torch.device,
        group: ProcessGroup = ALONE,
    ) -> None:
        self._network, self._group = network, group
        self._max_norm = section.gradient_clip_norm or math.inf
        decay = section.ema_decay
        self.average = None if decay is None else RunningAverage(network, decay)
        self.optimizer = build_optimizer(network, section)
        self._rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=section.precision == "float16")
        if device.type == "cpu":
            for weight in network.parameters():
                # A backward pass is one call, in which Python hears of signals only here.
                weight.register_post_accumulate_grad_hook(lambda _: None)

    def backward(self, loss: torch.Tensor) -> torch.Tensor:
        """Compute and clip the gradients; returns their norm before, on its device."""
        self.scaler.scale(loss).backward()
        self._group.add_gradients(self._network)
        self.scaler.unscale_(self.optimizer)
        return nn.utils.clip_grad_norm_(self._network.parameters(), self._max_norm)

    def forget_gradients(self) -> None:
        """Drop the gradients of a step that is not taken, or has been."""
        self.optimizer.zero_grad(set_to_none=True)

    def update(self, rate_factor: float) -> float:
        """Move the weights, at a share of the peak learning rate; returns the learning rate."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * rate_factor
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # Their memory is free for the next forward pass.
        self.forget_gradients()
        if self.average is not None:
            self.average.update_parameters(self._network)
        return float(self.optimizer.param_groups[0]["lr"])

    def state(self) -> dict[str, Any]:
        """What the remaining steps depend on, as plain values."""
        return {
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to where ``state`` was taken."""
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


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
