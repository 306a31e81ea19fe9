"""Errors that end a training, or that keep it from beginning."""

from __future__ import annotations

from slicewise.dataset.sampling import Batch
from slicewise.errors import TrainingError


def no_cases(fold: str) -> TrainingError:
    """There is nothing to learn from."""
    return TrainingError(
        f"fold {fold}",
        expected="at least one training case",
        found="no usable case",
        remedy="see why its cases were set aside, or choose another fold",
    )


def not_a_number(step: int, batch: Batch, what: str, value: float) -> TrainingError:
    """The loss or the gradient of a step, counted from 0, is no number."""
    return TrainingError(
        f"step {step + 1}",
        expected=f"a finite {what}",
        found=f"{value} on the batch of {', '.join(sorted(set(batch.cases)))}",
        remedy="check these cases with `slicewise check`, lower training.learning_rate or "
        "set training.precision to float32; the last checkpoint is intact",
    )
