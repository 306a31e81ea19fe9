"""Shows a training as a task and writes its metrics to the tracked run."""

from __future__ import annotations

from slicewise.progress import Progress, Task
from slicewise.quantities import figure
from slicewise.segmentation.course import Course
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun

_STEPS_BETWEEN_METRICS = 20
_FALL = 0.02
"""In Dice; smaller changes between validations are noise."""
_FALLS = 2
"""Validations in a row that are worse by so much are a sign of overfitting."""


class RunObserver:
    """Shows a training as a task and writes it to the tracked run.

    Args:
        progress: receives messages.
        task: whose total is the number of steps.
        run: receives metrics.
        course: of the training; under a budget in minutes the number of steps is an estimate.
    """

    def __init__(self, progress: Progress, task: Task, run: TrackedRun, course: Course) -> None:
        self._progress, self._task, self._run, self._course = progress, task, run, course
        self._dice = ""
        self._best, self._best_step, self._falls = -1.0, 0, 0

    def on_step(self, step: int, values: dict[str, float]) -> None:
        """Report the step; log its values now and then."""
        total = self._course.expected_steps(step)
        self._task.update(step, total=total, detail=f"loss {values['loss']:.3f}{self._dice}")
        if step % _STEPS_BETWEEN_METRICS == 0:
            self._run.log_metrics(step, {f"train.{name}": value for name, value in values.items()})

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Report and log the Dice of each structure."""
        self._dice = f", Dice {score.mean:.3f}"
        parts = ", ".join(f"{name} {figure(value)}" for name, value in score.dice.items())
        self._progress.message(f"step {step}: validation Dice {figure(score.mean)} ({parts})")
        dice = {f"validation.dice.{name}": value for name, value in score.dice.items()}
        self._run.log_metrics(step, {"validation.dice": score.mean, **dice})
        self._watch_for_overfitting(step, score.mean)

    def _watch_for_overfitting(self, step: int, dice: float) -> None:
        """Warn where the Dice of held-out cases stays below what it was; once for each best one."""
        if dice > self._best:
            self._best, self._best_step, self._falls = dice, step, 0
        self._falls = self._falls + 1 if dice < self._best - _FALL else 0
        if self._falls == _FALLS:
            self._progress.message(
                f"warning: overfitting: the validation Dice was {figure(self._best)} at step "
                f"{self._best_step}; training.keep=best keeps that network, training.patience "
                "stops earlier, and stronger augmentation or more cases may cure it"
            )
