"""What a training tells while it runs, on a bar and in the tracked run."""

from __future__ import annotations

from rich.progress import Progress, TaskID

from slicewise.cli.console import note
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun

_STEPS_BETWEEN_METRICS = 20


class Observer:
    """Shows a training on a bar and writes it to the tracked run."""

    def __init__(self, bar: Progress, task: TaskID, run: TrackedRun) -> None:
        self._bar, self._task, self._run = bar, task, run
        self._dice = ""

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Move the bar; log now and then."""
        self._bar.update(
            self._task, completed=step, detail=f"loss {values['loss']:.3f}{self._dice}"
        )
        if step % _STEPS_BETWEEN_METRICS == 0:
            self._run.log_metrics(step, {f"train.{name}": value for name, value in values.items()})

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Print and log the Dice of each structure."""
        self._dice = f", Dice {score.mean:.3f}"
        parts = ", ".join(f"{name} {value:.4f}" for name, value in score.dice.items())
        note(f"step {step}: validation Dice {score.mean:.4f} ({parts})")
        dice = {f"validation.dice.{name}": value for name, value in score.dice.items()}
        self._run.log_metrics(step, {"validation.dice": score.mean, **dice})
