"""Turns a budget in epochs or minutes into a number of steps, measured on this machine."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation.device import choose_device, resolve_precision
from slicewise.segmentation.training import Training
from slicewise.segmentation.validation import validate

_WARMUP_STEPS = 3
_MEASURED_STEPS, _MEASURED_SECONDS = 40, 4.0
"""A trial ends with the first of these, ..."""
_MEASURED_SHARE, _LONGEST_SHARE_SECONDS = 0.02, 15.0
"""... but not before this share of a budget in minutes: an error costs more of a longer one."""
_MEASURED_CASES = 4
_SAFETY = 0.96
"""Share of a budget in minutes that is planned; the rest is for checkpoints and noise."""


@dataclass(frozen=True)
class Plan:
    """Steps and precision of a run, with the durations measured for them.

    Attributes:
        config: with steps and precision fixed.
        step_seconds: of one step on this machine.
        validation_seconds: of one validation.
    """

    config: Config
    step_seconds: float
    validation_seconds: float

    @property
    def minutes(self) -> float:
        """Estimated duration of the training."""
        training = self.config.training
        assert training.steps is not None
        seconds = (
            training.steps * self.step_seconds + training.validations * self.validation_seconds
        )
        return seconds / 60


def plan_run(config: Config, train: Sequence[CachedCase], val: Sequence[CachedCase]) -> Plan:
    """Fix steps and precision by timing a few steps of a trial, which the run does not include."""
    device = choose_device(config.training.device)
    precision = resolve_precision(config.training, device)
    config = _with_training(config, precision=precision)
    trial = Training(_with_training(config, steps=_MEASURED_STEPS), train, val, "trial")
    step_seconds = _step_seconds(trial, _share_seconds(config))
    validation_seconds = _validation_seconds(trial, val)
    return Plan(
        _with_training(config, steps=_steps(config, trial, step_seconds, validation_seconds)),
        step_seconds,
        validation_seconds,
    )


def _with_training(config: Config, *, steps: int | None = None, precision: str = "") -> Config:
    changes: dict[str, object] = {}
    if precision:
        changes["precision"] = precision
    if steps is not None:
        changes |= {"steps": steps, "epochs": None, "budget_minutes": None}
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _steps(config: Config, trial: Training, step_seconds: float, validation_seconds: float) -> int:
    section = config.training
    if section.steps is not None:
        return section.steps
    if section.epochs is not None:
        return section.epochs * math.ceil(trial.sampler.slice_count / section.batch_size)
    assert section.budget_minutes is not None
    for_steps = 60 * section.budget_minutes * _SAFETY - section.validations * validation_seconds
    return max(1, int(for_steps / step_seconds))


def _share_seconds(config: Config) -> float:
    share = _MEASURED_SHARE * 60 * (config.training.budget_minutes or 0.0)
    return min(share, _LONGEST_SHARE_SECONDS)


def _step_seconds(trial: Training, least_seconds: float) -> float:
    """Median duration, so that a short load of the machine does not halve a budget."""
    for _ in range(_WARMUP_STEPS):
        trial.step()
    durations = [trial.step()["step_seconds"]]
    while (taken := sum(durations)) < least_seconds or (
        taken < _MEASURED_SECONDS and len(durations) < _MEASURED_STEPS
    ):
        durations.append(trial.step()["step_seconds"])
    return statistics.median(durations)


def _validation_seconds(trial: Training, val: Sequence[CachedCase]) -> float:
    some = val[:_MEASURED_CASES]
    if not some:
        return 0.0
    validate(trial.model, some[:1], trial.config, trial.device)  # warms up
    started = time.perf_counter()
    validate(trial.model, some, trial.config, trial.device)
    seconds = time.perf_counter() - started
    return seconds * sum(len(case.image) for case in val) / sum(len(case.image) for case in some)
