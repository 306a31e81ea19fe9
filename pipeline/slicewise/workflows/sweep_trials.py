"""Runs the trials of a sweep, one after the other or side by side, until it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from slicewise.interruption import uninterrupted
from slicewise.progress import Progress
from slicewise.quantities import counted
from slicewise.segmentation.budget import plan_run
from slicewise.tracking.store import Store
from slicewise.workflows.parallel.side_by_side import Engine, failed, side_by_side
from slicewise.workflows.sweep_study import SweepStudy
from slicewise.workflows.sweep_trial import SweepCases, TrialTask, run_trial, train_trial


def run_trials(
    sweep: SweepCases,
    study: SweepStudy,
    store: Store,
    engine: Engine | None,
    progress: Progress,
) -> dict[str, Exception]:
    """Run trials until there are as many as wanted, or the time is over.

    Trials that do not come to an end are tried again when the sweep continues.

    Args:
        sweep: what they share.
        study: draws their values, and keeps what became of them.
        store: tracks those that run in this process.
        engine: runs several at a time; None runs one after the other in this process.
        progress: receives the progress.

    Returns:
        Trials that were lost, with the reason.
    """
    lost: dict[str, Exception] = {}
    wanted = sweep.space.sweep.trials
    try:
        if engine is None:
            of = "" if wanted is None else f" of {wanted}"
            for _, task in _tasks(sweep, study):
                progress.message(f"trial {len(study.outcomes) + 1}{of}")
                ended = train_trial(task, store, progress)
                study.tell(task.number, ended.state, ended.dice, ended.seconds)
            return lost
        numbers: dict[str, int] = {}
        tasks = _remembered(_tasks(sweep, study), numbers)
        left = None if wanted is None else max(0, wanted - len(study.outcomes))
        with closing(side_by_side(engine, run_trial, tasks, progress, "trials", left)) as done:
            for name, end in done:
                if isinstance(end, Exception):
                    lost[name] = end
                else:
                    study.tell(numbers[name], end.state, end.dice, end.seconds)
    finally:
        with uninterrupted():
            study.give_up()
    return lost


def require_none_lost(lost: dict[str, Exception], sweep: SweepCases) -> None:
    """Report trials whose processes failed, when all others are finished.

    Raises:
        TrainingError: there are some.
    """
    if lost:
        raise failed(
            sweep.folder,
            lost,
            expected=f"{counted(len(lost), 'more trial')} that came to an end",
            remedy="give the same command again: their values are tried again, and what is "
            "finished is kept",
        )


def announce(sweep: SweepCases, study: SweepStudy, progress: Progress) -> None:
    """How long it will take, before hours are spent."""
    section, done = sweep.space.sweep, len(study.outcomes)
    progress.message(
        f"{len(sweep.train)} training cases, {len(sweep.val)} scored cases, {done} trials done"
    )
    left = None if section.trials is None else section.trials - done
    if section.minutes is not None:
        progress.message(f"at most {section.minutes:g} minutes in all")
    if left is not None and left > 0:
        minutes = sweep.config.training.budget_minutes
        if minutes is None:
            plan = plan_run(sweep.config, sweep.train, sweep.val)
            progress.message(f"{left} trials of {plan.summary()}")
        else:
            progress.message(
                f"{left} trials of {minutes:g} minutes: {left * minutes:.0f} minutes at most"
            )


def _tasks(sweep: SweepCases, study: SweepStudy) -> Iterator[tuple[str, TrialTask]]:
    """Trials, drawn when they are asked for; those that have not ended count as trials, too."""
    wanted, minutes = sweep.space.sweep.trials, sweep.space.sweep.minutes
    while True:
        outcomes = study.outcomes
        begun = len(outcomes) + study.unfinished
        if wanted is not None and begun >= wanted:
            return
        longest = max((item.seconds for item in outcomes), default=0.0)
        if minutes is not None and study.spent_seconds + longest > 60 * minutes:
            return
        number, values = study.ask()
        yield f"trial {number}", TrialTask(sweep, number, values)


def _remembered(
    tasks: Iterator[tuple[str, TrialTask]], numbers: dict[str, int]
) -> Iterator[tuple[str, TrialTask]]:
    """The same tasks; the number of each is kept by its name."""
    for name, task in tasks:
        numbers[name] = task.number
        yield name, task
