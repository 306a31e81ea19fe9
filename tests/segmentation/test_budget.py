"""Budgets become steps; the trial that measures them leaves nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation import budget as module
from slicewise.segmentation.budget import Plan, plan_run
from slicewise.segmentation.training import Training

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]


@pytest.fixture(autouse=True)
def short_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEASURED_STEPS", 5)


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second a step, three seconds a validation, without taking any."""
    monkeypatch.setattr(module, "_step_seconds", lambda *_: 0.5)
    monkeypatch.setattr(module, "_validation_seconds", lambda *_: 3.0)


def plan(config: Config, cases: Cases) -> Plan:
    return plan_run(config, cases[:-1], cases[-1:])


@pytest.mark.usefixtures("untimed")
@pytest.mark.parametrize(("batch_size", "expected"), [(7, 6), (6, 8), (100, 2)])
def test_epochs(make_config: MakeConfig, cases: Cases, batch_size: int, expected: int) -> None:
    # Three training cases of seven slices: 21 slices an epoch, the last batch of it whole.
    config = make_config(training={"steps": None, "epochs": 2, "batch_size": batch_size})
    training = plan(config, cases).config.training
    assert training.steps == expected
    assert training.epochs is None


def test_steps_stay(make_config: MakeConfig, cases: Cases) -> None:
    found = plan(make_config(training={"steps": 6}), cases)
    assert found.config.training.steps == 6
    assert found.step_seconds > 0
    assert found.minutes == pytest.approx(
        (6 * found.step_seconds + 2 * found.validation_seconds) / 60
    )


@pytest.mark.usefixtures("untimed")
def test_minutes_by_hand(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 2, "validations": 4})
    found = plan(config, cases)
    # 96 % of 120 s, less 4 validations of 3 s, at half a second a step.
    assert found.config.training.steps == int((0.96 * 120 - 12) / 0.5)
    assert found.config.training.budget_minutes is None
    assert found.minutes <= 2


class Paced(Training):
    """Does nothing in the given times, over and over."""

    def __init__(self, *seconds: float) -> None:
        self.seconds = itertools.cycle(seconds)
        self.taken = 0

    def step(self) -> dict[str, float]:
        self.taken += 1
        return {"step_seconds": next(self.seconds)}


def test_a_moment_of_other_work_does_not_count() -> None:
    assert module._step_seconds(Paced(0.2, 0.2, 0.2, 0.2, 9.0), 60) == 0.2


@pytest.mark.parametrize(
    ("minutes", "step_seconds", "steps"),
    [(None, 1.0, 4), (None, 0.125, 5), (1, 1.0, 4), (10, 1.0, 12), (10, 0.125, 96), (60, 1.0, 15)],
)
def test_a_longer_budget_is_measured_longer(
    make_config: MakeConfig, minutes: float | None, step_seconds: float, steps: int
) -> None:
    # Without one, four seconds or, here, five steps suffice.
    budget = {"steps": 5} if minutes is None else {"steps": None, "budget_minutes": minutes}
    trial = Paced(step_seconds)
    module._step_seconds(trial, module._share_seconds(make_config(training=budget)))
    assert trial.taken == 3 + steps


def test_minutes_on_this_machine(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 0.5, "precision": "auto"})
    found = plan(config, cases)
    assert found.config.training.steps is not None
    assert found.config.training.steps > 1
    assert found.config.training.precision in ("float32", "bfloat16")
    assert found.validation_seconds > 0


@pytest.mark.usefixtures("untimed")
def test_a_budget_too_small_for_its_validations_still_takes_a_step(
    make_config: MakeConfig, cases: Cases
) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 1e-6})
    assert plan(config, cases).config.training.steps == 1


@pytest.mark.usefixtures("untimed")
def test_nothing_else_changes(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": None, "epochs": 1, "precision": "auto"})
    found = plan(config, cases).config
    same = {"steps": None, "epochs": 1, "precision": "auto"}
    assert found.model_copy(update={"training": found.training.model_copy(update=same)}) == config


def test_without_held_out_cases(make_config: MakeConfig, cases: Cases) -> None:
    assert plan_run(make_config(), cases, []).validation_seconds == 0


def test_the_trial_leaves_no_trace(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(network={"dropout": 0.3})

    def weights_after_two_steps() -> list[torch.Tensor]:
        training = Training(config, cases[:-1], cases[-1:], "0")
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for _ in range(2):
                training.step()
        return [value.detach().clone() for value in training.network.parameters()]

    before = weights_after_two_steps()
    state = torch.get_rng_state()
    plan(config, cases)
    assert torch.equal(torch.get_rng_state(), state)
    for ours, theirs in zip(before, weights_after_two_steps(), strict=True):
        assert torch.equal(ours, theirs)
