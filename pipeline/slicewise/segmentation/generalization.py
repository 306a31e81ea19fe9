"""The generalisation gap of a training: Dice that is lost from training cases to held-out ones."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from slicewise.dataset.cache import CachedCase
from slicewise.quantities import counted
from slicewise.segmentation.course import ValidationOrder
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import spread, validate

WIDE_GAP = 0.03
"""In mean Dice."""
_MOST_CASES = 8
_MOST_TIME = 0.03
"""Fraction of the duration of the training."""


@dataclass(frozen=True)
class Generalization:
    """Mean Dice of a network on both sides of its fold, on the preprocessed grid.

    Attributes:
        trained: on cases that it has learned from.
        cases: number of these.
        held_out: on held-out cases.
    """

    trained: float
    cases: int
    held_out: float

    @property
    def gap(self) -> float:
        """Dice that is lost from training cases to held-out ones."""
        return self.trained - self.held_out

    def sentence(self) -> str:
        """What it suggests: which of cases and time is scarce."""
        if self.gap >= WIDE_GAP:
            advice = "more cases or stronger augmentation promise more than more time"
        else:
            advice = "more time or a wider network promise more than more cases"
        return (
            f"Dice {self.trained:.3f} on {counted(self.cases, 'training case')}, "
            f"{self.held_out:.3f} on held-out ones: {advice}"
        )


def generalization_of(training: Training) -> Generalization | None:
    """Score some training cases as the last validation has scored the held-out ones.

    Args:
        training: that is over.

    Returns:
        None without a validation.
    """
    progress = training.progress
    if not progress.history:
        return None
    cases: Sequence[CachedCase] = spread(training.train_cases)[:_MOST_CASES]
    seconds = ValidationOrder(seconds=_MOST_TIME * progress.seconds)
    score = validate(
        training.model,
        cases,
        training.config,
        training.device,
        is_late=seconds.is_late(time.monotonic),
        least=1,
    )
    return Generalization(score.mean, score.cases, progress.history[-1]["mean"])
