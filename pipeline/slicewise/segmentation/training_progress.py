"""The progress of a training: what it has reached, and who is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from slicewise.segmentation.validation import ValidationScore


class TrainingObserver(Protocol):
    """Receives the progress of a training: a progress bar, a tracked run."""

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Called after each step."""

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Called after each validation."""


class Unobserved:
    """Nobody is told: the observer of all processes but the first."""

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Ignore it."""

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Ignore it."""


@dataclass
class TrainingProgress:
    """State of a training: steps taken, best validation, durations and history.

    Attributes:
        step: steps taken.
        best_dice: best validation so far.
        best_step: where it was reached.
        validations_since_best: for patience.
        validation_cases: number of cases of the first validation; those with fewer, for lack of
            time, do not count as better or worse.
        seconds: spent on steps and validations, over all sessions.
        step_seconds: of these, spent on steps.
        data_seconds: of these, spent on waiting for windows, and on their augmentation.
        history: one row per validation.
        losses: of each step.
        skipped: steps without effect, because their gradients overflowed in float16.
        skipped_in_a_row: of these, the last ones.
        parts: in which the windows of a step are computed, since memory was full.
    """

    step: int = 0
    best_dice: float = -1.0
    best_step: int = 0
    validations_since_best: int = 0
    validation_cases: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    data_seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    skipped: int = 0
    skipped_in_a_row: int = 0
    parts: int = 1
