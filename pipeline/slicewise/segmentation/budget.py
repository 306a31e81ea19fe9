"""Prepares a training: its precision, steps from epochs, the speed under a budget in minutes."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.sampling import WindowSampler
from slicewise.errors import TrainingError
from slicewise.segmentation.clocked_course import MAX_VALIDATION_FRACTION
from slicewise.segmentation.device import choose_device, resolve_precision
from slicewise.segmentation.process_group import ALONE, ProcessGroup
from slicewise.segmentation.training import Training

FEW_STEPS, FEWEST_STEPS = 100, 10
"""Fewer steps in a budget in minutes are a warning, and an error."""
_TRIAL_STEPS = 40
_TRIAL_FRACTION, _TRIAL_SECONDS = 0.02, 4.0
"""A trial ends at this fraction of the budget, and at this duration."""


@dataclass(frozen=True)
class Plan:
    """A training that can begin.

    Attributes:
        config: with a fixed precision, and with steps instead of epochs. A budget in minutes stays:
            the training keeps it by the clock.
        step_seconds: duration of a step at the present speed of this machine; NaN where nothing
            was measured, because the steps are given.
        spent_seconds: that the measuring took of the budget.
        warning: that the budget allows few steps, and what helps; empty if it allows enough.
    """

    config: Config
    step_seconds: float = math.nan
    spent_seconds: float = 0.0
    warning: str = ""

    def summary(self) -> str:
        """One line about what is going to happen."""
        section = self.config.training
        if section.budget_minutes is None:
            return f"{section.steps} steps of {section.batch_size} slices, {section.precision}"
        steps = _steps_in(60 * section.budget_minutes, self.step_seconds)
        return (
            f"{section.budget_minutes:g} minutes, about {steps} steps of {section.batch_size} "
            f"slices at present, {section.batch_size / self.step_seconds:.0f} slices/s, "
            f"{section.precision}"
        )

    def start(self, training: Training) -> Training:
        """Count what was spent on measuring."""
        training.course.spend(self.spent_seconds)
        return training


def plan_run(
    config: Config,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    group: ProcessGroup = ALONE,
) -> Plan:
    """Prepare a training; only a budget in minutes is measured, in a trial that leaves no trace.

    Args:
        config: of the training.
        train: cases that are learned from.
        val: cases that are scored.
        group: whose processes will train.

    Raises:
        TrainingError: the budget is too short for this machine.
    """
    section = config.training
    precision = resolve_precision(section, choose_device(section.device))
    changes: dict[str, object] = {"precision": precision}
    if section.epochs is not None:
        slices = WindowSampler(train, config).slice_count if train else 1
        steps = section.epochs * math.ceil(slices / section.batch_size)
        changes |= {"steps": steps, "epochs": None}
    config = _with_training(config, changes)
    if section.budget_minutes is None:
        return Plan(config)
    begun = time.monotonic()
    trial = _with_training(config, _TRIAL), train, val, 60 * section.budget_minutes
    group.call(_try, *trial)
    step_seconds, at_best = _try(group, *trial)
    _require_enough(section.budget_minutes, step_seconds, at_best)
    return Plan(
        config,
        step_seconds,
        time.monotonic() - begun,
        _warning(section.budget_minutes, step_seconds, at_best),
    )


_TRIAL: dict[str, object] = {"steps": _TRIAL_STEPS, "budget_minutes": None}


def _with_training(config: Config, changes: dict[str, object]) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _try(
    group: ProcessGroup,
    config: Config,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    budget_seconds: float,
) -> tuple[float, float]:
    """What all processes of a group do; see ``_measured``."""
    return _measured(Training(config, train, val, "trial", group=group), budget_seconds)


def _measured(trial: Training, budget_seconds: float) -> tuple[float, float]:
    """Seconds of a step now, and at best if no other program used the processor."""
    limit = min(_TRIAL_FRACTION * budget_seconds, _TRIAL_SECONDS)
    begun = time.monotonic()
    times = [_timed_step(trial)]
    while len(times) < _TRIAL_STEPS and trial.group.decided(
        lambda: time.monotonic() - begun < limit
    ):
        times.append(_timed_step(trial))
    # The first one warms up.
    counted = times[1:] or times
    now = statistics.median(seconds for seconds, _ in counted)
    return now, min(min(pair) for pair in counted)


def _timed_step(trial: Training) -> tuple[float, float]:
    """Seconds of the clock, and of the processor if its cores share the work evenly."""
    clock, processor = time.perf_counter(), time.process_time()
    trial.step()
    seconds = time.perf_counter() - clock
    if trial.device.type != "cpu":
        return seconds, seconds
    return seconds, (time.process_time() - processor) / torch.get_num_threads()


def _steps_in(budget_seconds: float, step_seconds: float) -> int:
    return int((1 - MAX_VALIDATION_FRACTION) * budget_seconds / step_seconds)


def _minutes_for(steps: int, step_seconds: float) -> str:
    """Rounded up: it can be copied, and suffices."""
    minutes = steps * step_seconds / 60 / (1 - MAX_VALIDATION_FRACTION)
    digits = 0 if minutes > 10 else 1 if minutes > 1 else 2
    return f"{math.ceil(1.02 * minutes * 10**digits) / 10**digits:g}"


def _require_enough(budget_minutes: float, now: float, at_best: float) -> None:
    """Even without other programs it would not do: not to be hoped for while it runs."""
    steps = _steps_in(60 * budget_minutes, at_best)
    if steps >= FEWEST_STEPS:
        return
    raise TrainingError(
        "training.budget_minutes",
        expected=f"time for at least {FEWEST_STEPS} steps",
        found=f"{budget_minutes:g} minutes, in which this machine takes about {steps} steps of "
        f"{at_best:.2g} s",
        remedy=f"`settings` training.budget_minutes={_minutes_for(FEW_STEPS, now)} has time for "
        f"{FEW_STEPS} steps; a smaller training.batch_size or network.window makes them faster",
    )


def _warning(budget_minutes: float, now: float, at_best: float) -> str:
    steps = _steps_in(60 * budget_minutes, now)
    if steps >= FEW_STEPS:
        return ""
    idle = _steps_in(60 * budget_minutes, at_best)
    busy = (
        f"; other programs slow it down, without them it would be about {idle}"
        if idle > 2 * steps
        else ""
    )
    return (
        f"few steps: {budget_minutes:g} minutes have time for about {steps} steps of {now:.2g} s "
        f"at the present speed of this machine{busy}. `settings` training.budget_minutes="
        f"{_minutes_for(FEW_STEPS, now)} has time for {FEW_STEPS}; a smaller training.batch_size "
        "or network.window makes them faster"
    )
