"""One trial of a sweep: a tracked training with the values that were drawn for it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.config import Config, Space, with_values
from slicewise.dataset.cache import CachedCase
from slicewise.errors import ConfigErrors, TrainingError
from slicewise.imaging.files import part_folder
from slicewise.progress import Progress, Task
from slicewise.segmentation.budget import Plan, plan_run
from slicewise.segmentation.course import Course
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun, start_run
from slicewise.tracking.store import Store
from slicewise.workflows.run_observer import RunObserver
from slicewise.workflows.sweep_study import SweepStudy

if TYPE_CHECKING:
    from optuna import Trial


@dataclass(frozen=True)
class RunningSweep:
    """What all trials share.

    Attributes:
        config: that they change.
        folder: of the sweep.
        space: what they draw from.
        train: cases to train on.
        val: cases that are scored.
        store: where they are tracked.
        study: draws their values.
        progress: receives the progress.
    """

    config: Config
    folder: Path
    space: Space
    train: Sequence[CachedCase]
    val: Sequence[CachedCase]
    store: Store
    study: SweepStudy
    progress: Progress


class _Pruned(Exception):
    """A trial is ended early."""


class _TrialObserver(RunObserver):
    """Tells the study what a trial reaches; ends it when others did better."""

    def __init__(
        self, progress: Progress, task: Task, run: TrackedRun, course: Course, trial: Trial
    ) -> None:
        super().__init__(progress, task, run, course)
        self._trial = trial
        self.validations = 0
        self.dice: float | None = None

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Report the mean Dice.

        Raises:
            _Pruned: the study does not expect much of this trial.
        """
        super().on_validation(step, score)
        self.dice = score.mean
        self._trial.report(score.mean, self.validations)
        self.validations += 1
        if self._trial.should_prune():
            raise _Pruned


def run_trial(sweep: RunningSweep, parent: TrackedRun) -> None:
    """Run the next trial and tell the study what became of it."""
    trial, values = sweep.study.ask()
    name = f"trial {trial.number}, {sweep.config.name}"
    sweep.progress.message(
        ", ".join(f"{key}={shown_value(value)}" for key, value in values.items())
    )
    begun = time.monotonic()
    try:
        config = with_values(sweep.config, values)
        plan = plan_run(config, sweep.train, sweep.val)
        if plan.warning:
            sweep.progress.message(plan.warning)
    except TrainingError as error:
        # A network that is too slow for the budget.
        sweep.progress.message(f"failed: {error}")
        sweep.study.tell(trial, "failed", None, time.monotonic() - begun)
        return
    except ConfigErrors as error:
        # Values that each are fine, but not together.
        sweep.progress.message(
            f"skipped: values that do not fit together: {error.mistakes[0].expected}"
        )
        sweep.study.tell(trial, "failed", None, time.monotonic() - begun)
        return
    tags = {"slicewise.kind": "trial", "slicewise.trial": str(trial.number)}
    try:
        with start_run(sweep.store, plan.config, name, tags=tags, parent=parent) as run:
            state, dice = _trained(sweep, plan, trial, run)
            run.set_tag("slicewise.trial_state", state)
    except BaseException:
        sweep.study.give_up(trial)
        raise
    sweep.study.tell(trial, state, dice, time.monotonic() - begun)


def _trained(
    sweep: RunningSweep, plan: Plan, trial: Trial, run: TrackedRun
) -> tuple[str, float | None]:
    """How a trial ended, and with which Dice."""
    training = plan.start(Training(plan.config, sweep.train, sweep.val, f"trial {trial.number}"))
    with (
        part_folder(sweep.folder) as folder,
        sweep.progress.task("training", plan.config.training.steps) as task,
    ):
        observer = _TrialObserver(sweep.progress, task, run, training.course, trial)
        try:
            training.run(folder, observer)
        except _Pruned:
            sweep.progress.message("ended early: earlier trials were better at this point")
            return "pruned", observer.dice
        except TrainingError as error:
            # A learning rate that is too high, for instance: worth knowing, no reason to stop.
            sweep.progress.message(f"failed: {error}")
            return "failed", None
    return "complete", observer.dice


def shown_value(value: Any) -> str:
    """A value of a trial, as tables show it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return str(value)
