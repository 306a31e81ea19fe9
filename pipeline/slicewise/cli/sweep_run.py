"""A configuration and a search space in; trials, the best configuration and a picture out."""

from __future__ import annotations

import csv
import hashlib
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicewise.cli.ablation_run import inner_fold
from slicewise.cli.bridge import prepared_slices
from slicewise.cli.console import PROGRESS, figure, note, output, show_table
from slicewise.cli.sweep_study import Outcome, SweepStudy
from slicewise.config import Config, Space, as_yaml, with_values, without_places
from slicewise.dataset.cache import CachedCase
from slicewise.errors import ConfigErrors, TrainingError
from slicewise.imaging.files import private_folder, write_text
from slicewise.progress import Task
from slicewise.reporting.charts.sweep import draw_sweep
from slicewise.segmentation.budget import plan_run
from slicewise.segmentation.resuming import sole_user
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.spool.syncing import tidy_up
from slicewise.tracking.store import Store, open_store
from slicewise.workflows.train_fold import RunObserver

if TYPE_CHECKING:
    from optuna import Trial

BEST, TRIALS, CHART = "best.yaml", "trials.csv", "sweep.png"
_PARENT = "run.json"
_SHOWN = 10


@dataclass(frozen=True)
class SweepJob:
    """What is searched.

    Attributes:
        config: of all trials.
        space: what they change.
        sweep_file: that the space was read from.
        out: folder of the sweep.
        folds: number of the fold whose held-out cases stay unseen, and of the inner fold.
    """

    config: Config
    space: Space
    sweep_file: Path
    out: Path
    folds: tuple[int, int]


class _Pruned(Exception):
    """A trial is ended early."""


class _TrialObserver(RunObserver):
    """Tells the study what a trial reaches; ends it when others did better."""

    def __init__(self, task: Task, run: TrackedRun, trial: Trial) -> None:
        super().__init__(PROGRESS, task, run)
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


@dataclass(frozen=True)
class _Sweep:
    """What all trials share."""

    job: SweepJob
    train: Sequence[CachedCase]
    val: Sequence[CachedCase]
    store: Store
    study: SweepStudy


def run_sweep(job: SweepJob, work: Path, workers: int | None) -> Outcome:
    """Run the trials that are left, print and write what was found; returns the best.

    Raises:
        UsageError: no such fold.
        OutputError: the folder holds another sweep, or another process works there.
        TrainingError: no trial came to its end.
        InterruptedBySignal: the sweep can go on later.
    """
    config = job.config
    catalogue, prepared = prepared_slices(config, work, workers)
    fold = inner_fold(catalogue, prepared, config, job.folds)
    train, val = prepared.chosen(fold.train), prepared.chosen(fold.val)
    private_folder(job.out)
    store = open_store(work, must_answer=False)
    tidy_up(store)
    with sole_user(job.out):
        study = SweepStudy(job.out, job.space, _key(job, train, val), config.seed)
        sweep = _Sweep(job, train, val, store, study)
        with _parent(sweep) as parent:
            _run_trials(sweep, parent)
            return _finish(sweep, parent)


def _run_trials(sweep: _Sweep, parent: TrackedRun) -> None:
    wanted, minutes = sweep.job.space.sweep.trials, sweep.job.space.sweep.minutes
    _announce(sweep)
    while True:
        outcomes = sweep.study.outcomes
        if wanted is not None and len(outcomes) >= wanted:
            return
        spent = sum(item.seconds for item in outcomes)
        longest = max((item.seconds for item in outcomes), default=0.0)
        if minutes is not None and spent + longest > 60 * minutes:
            return
        of = "" if wanted is None else f" of {wanted}"
        note(f"trial {len(outcomes) + 1}{of}")
        _run_trial(sweep, parent)


def _announce(sweep: _Sweep) -> None:
    """How long it will take, before hours are spent."""
    section, done = sweep.job.space.sweep, len(sweep.study.outcomes)
    note(f"{len(sweep.train)} cases train, {len(sweep.val)} are scored; {done} trials are done")
    left = None if section.trials is None else section.trials - done
    if section.minutes is not None:
        note(f"at most {section.minutes:g} minutes in all")
    if left is not None and left > 0:
        minutes = plan_run(sweep.job.config, sweep.train, sweep.val).minutes
        note(f"{left} trials of about {minutes:.1f} minutes: {left * minutes:.0f} minutes at most")


def _run_trial(sweep: _Sweep, parent: TrackedRun) -> None:
    trial, values = sweep.study.ask()
    name = f"trial {trial.number}, {sweep.job.config.name}"
    note(", ".join(f"{key}={_text(value)}" for key, value in values.items()))
    begun = time.monotonic()
    try:
        config = with_values(sweep.job.config, values)
        plan = plan_run(config, sweep.train, sweep.val)
    except ConfigErrors as error:
        # Values that each are fine, but not together.
        note(f"left out: {error.mistakes[0].expected}")
        sweep.study.tell(trial, "failed", None, time.monotonic() - begun)
        return
    tags = {"slicewise.kind": "trial", "slicewise.trial": str(trial.number)}
    try:
        with start_run(sweep.store, plan.config, name, tags=tags, parent=parent) as run:
            state, dice = _trained(sweep, plan.config, trial, run)
            run.set_tag("slicewise.trial_state", state)
    except BaseException:
        sweep.study.give_up(trial)
        raise
    sweep.study.tell(trial, state, dice, time.monotonic() - begun)


def _trained(
    sweep: _Sweep, config: Config, trial: Trial, run: TrackedRun
) -> tuple[str, float | None]:
    """How a trial ended, and with which Dice."""
    training = Training(config, sweep.train, sweep.val, f"trial {trial.number}")
    with (
        tempfile.TemporaryDirectory(dir=sweep.job.out) as folder,
        PROGRESS.task("training", config.training.steps) as task,
    ):
        observer = _TrialObserver(task, run, trial)
        try:
            training.run(Path(folder), observer)
        except _Pruned:
            note("ended early: others did better by then")
            return "pruned", observer.dice
        except TrainingError as error:
            # A learning rate that is too high, for instance: worth knowing, no reason to stop.
            note(f"failed: {error}")
            return "failed", None
    return "complete", observer.dice


def _finish(sweep: _Sweep, parent: TrackedRun) -> Outcome:
    job, outcomes, best = sweep.job, sweep.study.outcomes, sweep.study.best
    if best is None:
        raise TrainingError(
            job.out,
            expected="a trial that came to its end",
            found=f"{len(outcomes)} trials, none of them complete",
            remedy="lower training.learning_rate in the sweep, or give it more trials",
        )
    write_text(job.out / BEST, as_yaml(without_places(with_values(job.config, best.values))))
    _write_trials(outcomes, list(job.space.sweep.parameters), job.out / TRIALS)
    draw_sweep(
        [(dict(item.values), item.state, item.dice) for item in outcomes],
        _log_keys(job.space),
        job.out / CHART,
    )
    dice = best.dice or 0.0
    parent.log_metrics(len(outcomes), {"dice": dice, "trials": len(outcomes)})
    parent.set_tag("slicewise.best_trial", str(best.number))
    for path in (job.out / BEST, job.out / TRIALS, job.sweep_file):
        parent.log_artifact(path)
    parent.log_figure(job.out / CHART)
    _show(outcomes, best)
    for what, place in (("best", BEST), ("trials", TRIALS), ("picture", CHART)):
        output.print(f"{what:>8}: {job.out / place}", markup=False, soft_wrap=True)
    note(f"Next: slicewise train {job.out / BEST} --fold {job.folds[0]} --set data.root=...")
    return best


def _show(outcomes: Sequence[Outcome], best: Outcome) -> None:
    ranked = sorted(outcomes, key=lambda item: (item.state != "complete", -(item.dice or 0.0)))
    show_table(
        f"Inner held-out cases: the best of {len(outcomes)} trials",
        ("trial", "Dice", "state", *best.values),
        [
            (
                str(item.number),
                "-" if item.dice is None else figure(item.dice),
                item.state,
                *(_text(value) for value in item.values.values()),
            )
            for item in ranked[:_SHOWN]
        ],
    )


def _write_trials(outcomes: Sequence[Outcome], keys: Sequence[str], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["trial", "state", "dice", "seconds", *keys])
        for item in outcomes:
            values = [_text(item.values[key]) if key in item.values else "" for key in keys]
            dice = "" if item.dice is None else f"{item.dice:.6f}"
            writer.writerow([item.number, item.state, dice, f"{item.seconds:.1f}", *values])


def _parent(sweep: _Sweep) -> TrackedRun:
    """The run of the sweep; one that goes on is the run that it began in."""
    record = sweep.job.out / _PARENT
    if record.is_file():
        return continue_run(sweep.store, json.loads(record.read_text())["run_id"])
    config = sweep.job.config
    tags = {"slicewise.kind": "sweep", "slicewise.sweep": sweep.job.sweep_file.name}
    run = start_run(sweep.store, config, f"sweep, {config.name}", tags=tags)
    write_text(record, json.dumps({"run_id": run.run_id}) + "\n")
    return run


def _key(job: SweepJob, train: Sequence[CachedCase], val: Sequence[CachedCase]) -> str:
    parameters = {
        key: item.model_dump(mode="json") for key, item in job.space.sweep.parameters.items()
    }
    known = [
        as_yaml(without_places(job.config)),
        json.dumps(parameters, sort_keys=True),
        *(f"train {case.name} {case.key}" for case in train),
        *(f"val {case.name} {case.key}" for case in val),
    ]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _log_keys(space: Space) -> frozenset[str]:
    return frozenset(key for key, item in space.sweep.parameters.items() if item.log)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value)
    return str(value)
