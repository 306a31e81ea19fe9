"""One trial of a sweep: a tracked training with the values that were drawn for it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from slicewise.tracking.store import Store, open_store
from slicewise.workflows.run_observer import RunObserver
from slicewise.workflows.sweep_study import TrialReports


@dataclass(frozen=True)
class SweepCases:
    """What all trials share.

    Attributes:
        config: that they change.
        folder: of the sweep.
        space: what they draw from.
        train: cases to train on.
        val: cases that are scored.
        work: the work folder.
        parent: id of the run of the sweep.
    """

    config: Config
    folder: Path
    space: Space
    train: Sequence[CachedCase]
    val: Sequence[CachedCase]
    work: Path
    parent: str


@dataclass(frozen=True)
class TrialTask:
    """A trial that can be trained in any process.

    Attributes:
        sweep: that it belongs to.
        number: of the trial.
        values: key to the value that was drawn.
    """

    sweep: SweepCases
    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ended.

    Attributes:
        state: ``complete``, ``pruned`` or ``failed``.
        dice: of the last validation; None without one.
        seconds: of the whole trial.
    """

    state: str
    dice: float | None
    seconds: float


class _Pruned(Exception):
    """A trial is ended early."""


class _TrialObserver(RunObserver):
    """Tells the study what a trial reaches; ends it when others did better."""

    def __init__(
        self, progress: Progress, task: Task, run: TrackedRun, course: Course, reports: TrialReports
    ) -> None:
        super().__init__(progress, task, run, course)
        self._reports = reports
        self.dice: float | None = None

    def on_validation(self, step: int, score: ValidationScore) -> None:
        """Report the mean Dice.

        Raises:
            _Pruned: the study does not expect much of this trial.
        """
        super().on_validation(step, score)
        self.dice = score.mean
        if self._reports.is_hopeless(score.mean):
            raise _Pruned


def run_trial(task: TrialTask, progress: Progress) -> TrialEnd:
    """Train a trial as a tracked run, in a process of its own."""
    return train_trial(task, open_store(task.sweep.work, must_answer=False), progress)


def train_trial(task: TrialTask, store: Store, progress: Progress) -> TrialEnd:
    """Train a trial as a tracked run."""
    sweep, begun = task.sweep, time.monotonic()

    def ended(state: str, dice: float | None = None) -> TrialEnd:
        return TrialEnd(state, dice, time.monotonic() - begun)

    progress.message(", ".join(f"{key}={shown_value(v)}" for key, v in task.values.items()))
    try:
        config = with_values(sweep.config, task.values)
        plan = plan_run(config, sweep.train, sweep.val)
        if plan.warning:
            progress.message(plan.warning)
    except TrainingError as error:
        # A network that is too slow for the budget.
        progress.message(f"failed: {error}")
        return ended("failed")
    except ConfigErrors as error:
        # Values that each are fine, but not together.
        progress.message(f"skipped: values that do not fit together: {error.mistakes[0].expected}")
        return ended("failed")
    name = f"trial {task.number}, {sweep.config.name}"
    tags = {"slicewise.kind": "trial", "slicewise.trial": str(task.number)}
    with start_run(store, plan.config, name, tags=tags, parent=sweep.parent) as run:
        state, dice = _trained(task, plan, run, progress)
        run.set_tag("slicewise.trial_state", state)
    return ended(state, dice)


def _trained(
    task: TrialTask, plan: Plan, run: TrackedRun, progress: Progress
) -> tuple[str, float | None]:
    """How a trial ended, and with which Dice."""
    sweep = task.sweep
    training = plan.start(Training(plan.config, sweep.train, sweep.val, f"trial {task.number}"))
    with (
        part_folder(sweep.folder) as folder,
        progress.task("training", plan.config.training.steps) as shown,
    ):
        reports = TrialReports(sweep.folder, sweep.space, task.number)
        observer = _TrialObserver(progress, shown, run, training.course, reports)
        try:
            training.run(folder, observer)
        except _Pruned:
            progress.message("ended early: earlier trials were better at this point")
            return "pruned", observer.dice
        except TrainingError as error:
            # A learning rate that is too high, for instance: worth knowing, no reason to stop.
            progress.message(f"failed: {error}")
            return "failed", None
    return "complete", observer.dice


def shown_value(value: Any) -> str:
    """A value of a trial, as tables show it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return str(value)
