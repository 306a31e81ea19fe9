"""Shows a training as a task and writes its metrics to the tracked run."""

from __future__ import annotations

from slicewise.progress import Progress, Task
from slicewise.quantities import figure
from slicewise.segmentation.course import Course
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun

_STEPS_BETWEEN_METRICS = 20


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
