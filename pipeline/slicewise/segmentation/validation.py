"""Scores a network on held-out volumes during training; slices are never scored alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.plane import stack_axes
from slicewise.errors import TrainingError
from slicewise.metrics.overlap import overlap
from slicewise.segmentation.probability_maps import ProbabilitySums
from slicewise.segmentation.process_group import ALONE, ProcessGroup
from slicewise.segmentation.sliding_window import (
    NoFiniteLogitsError,
    SliceObserver,
    View,
    predict_views,
)

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class ValidationScore:
    """Dice on the preprocessed grid; final scores are computed on the native one.

    Attributes:
        dice: mean over the cases by structure; NaN where no case has the structure.
        cases: number of cases that were scored.
    """

    dice: dict[str, float]
    cases: int = 1

    @property
    def mean(self) -> float:
        """Mean over the structures that some case has; 0 when there is none."""
        known = [value for value in self.dice.values() if not math.isnan(value)]
        return float(np.mean(known)) if known else 0.0

    def row(self, step: int, of_cases: int) -> dict[str, float]:
        """Of ``history.jsonl``; it names the number of cases if these are not all."""
        some = {"cases": self.cases} if self.cases < of_cases else {}
        return {"step": step, "mean": self.mean, **some, **self.dice}


class _NoTimeLeft(Exception):
    """The case that is being predicted would come too late."""


def spread(cases: Sequence[CachedCase]) -> list[CachedCase]:
    """In an order in which the first of them, however many, are spread over all."""
    order = sorted(range(len(cases)), key=lambda number: number * _GOLDEN % 1)
    return [cases[number] for number in order]


def validate(
    network: nn.Module,
    cases: Sequence[CachedCase],
    config: Config,
    device: torch.device,
    *,
    is_late: Callable[[], bool] = lambda: False,
    least: int = 0,
    group: ProcessGroup = ALONE,
) -> ValidationScore:
    """Score a network on whole volumes.

    Args:
        network: that is trained.
        cases: scored in their order.
        config: of the training.
        device: where the network is.
        is_late: whether time is up; the case that is being predicted is then left out.
        least: number of cases that are scored in any case.
        group: whose processes share the cases.

    Raises:
        TrainingError: the network answers with values that are no numbers.
    """
    own, scored = group.some_of(cases), list[dict[str, float] | None]()
    least_here = len(group.some_of(range(least)))

    def look_at_clock(_: int) -> None:
        if group.is_ending() or (len(scored) >= least_here and is_late()):
            raise _NoTimeLeft

    was_training = network.training
    network.eval()
    try:
        for case in own:
            scored.append(_dice(network, case, config, device, look_at_clock))
    except _NoTimeLeft:
        scored += [None] * (len(own) - len(scored))
    finally:
        network.train(was_training)
    # Whoever was late: what comes before in the order of the cases counts.
    known = list(takewhile(lambda item: item is not None, group.gathered(scored)))
    dice = {name: _mean([item[name] for item in known if item]) for name in config.data.labels}
    return ValidationScore(dice, len(known))


def _dice(
    network: nn.Module,
    case: CachedCase,
    config: Config,
    device: torch.device,
    on_slices: SliceObserver,
) -> dict[str, float]:
    """Dice of each structure of a case."""
    predicted = _predicted(network, case, config, device, on_slices)
    return {
        name: overlap(predicted, case.label, number).dice
        for number, name in enumerate(config.data.labels, start=1)
    }


def _predicted(
    network: nn.Module,
    case: CachedCase,
    config: Config,
    device: torch.device,
    on_slices: SliceObserver,
) -> NDArray[np.uint8]:
    """Classes (D, H, W) of a case."""
    stack = torch.from_numpy(case.image.astype(np.float32)).movedim(1, 0)  # (C, D, H, W)
    views = [View(axis) for axis in stack_axes(config.preprocessing)]
    sums = ProbabilitySums(config.out_channels, case.label.shape, len(views))
    try:
        predict_views(network, stack, views, config, device, sums, on_slices)
    except NoFiniteLogitsError as error:
        raise TrainingError(
            f"validation on {case.name}",
            expected=error.expected,
            found=error.found,
            remedy="lower training.learning_rate or set training.precision to float32; the last "
            "checkpoint is intact",
        ) from None
    return sums.classes()


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
