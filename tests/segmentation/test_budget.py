"""Steps stay, epochs become steps, and minutes are measured; the trial leaves nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import TrainingError
from slicewise.segmentation import budget as module
from slicewise.segmentation.budget import Plan, plan_run
from slicewise.segmentation.process_group import ALONE
from slicewise.segmentation.training import Training

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]


def plan(config: Config, cases: Cases) -> Plan:
    return plan_run(config, cases[:-1], cases[-1:])


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Steps take as long as is said, without taking any time."""

    def steps_take(now: float, at_best: float | None = None) -> None:
        monkeypatch.setattr(module, "_measured", lambda *_: (now, at_best or now))

    steps_take(0.5)
    return steps_take


@pytest.fixture
def not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(module, "_measured", fail)


@pytest.mark.usefixtures("not_measured")
@pytest.mark.parametrize(("batch_size", "expected"), [(7, 6), (6, 8), (100, 2)])
def test_epochs(make_config: MakeConfig, cases: Cases, batch_size: int, expected: int) -> None:
    # Three training cases of seven slices: 21 slices an epoch, the last batch of it whole.
    config = make_config(training={"steps": None, "epochs": 2, "batch_size": batch_size})
    training = plan(config, cases).config.training
    assert training.steps == expected
    assert training.epochs is None


@pytest.mark.fault(106, "OK")
@pytest.mark.usefixtures("not_measured")
def test_given_steps_change_nothing(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": 3})
    found = plan(config, cases)
    assert found.config == config
    assert found.warning == ""
    assert found.summary() == "3 steps of 6 slices, float32"


@pytest.mark.usefixtures("untimed")
def test_minutes_stay(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 2})
    found = plan(config, cases)
    assert found.config == config
    # A tenth is left for validations: 108 s at half a second a step.
    assert found.summary() == (
        "2 minutes, about 216 steps of 6 slices at present, 12 slices/s, float32"
    )


@pytest.mark.fault(106, "W")
def test_few_steps_are_a_warning(
    make_config: MakeConfig, cases: Cases, untimed: Callable[..., None]
) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 2})
    assert plan(config, cases).warning == ""
    untimed(2.0)
    warning = plan(config, cases).warning
    assert "about 54 steps of 2 s" in warning
    assert "other programs" not in warning
    # 200 s and a tenth for validations.
    assert "`settings` training.budget_minutes=3.8" in warning
    untimed(4.0, 0.5)
    assert "without them it would be about 216" in plan(config, cases).warning


@pytest.mark.fault(106, "E")
def test_hardly_any_step_is_an_error(
    make_config: MakeConfig, cases: Cases, untimed: Callable[..., None]
) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 0.5})
    untimed(9.0, 3.0)
    with pytest.raises(TrainingError) as caught:
        plan(config, cases)
    assert caught.value.where == "training.budget_minutes"
    assert caught.value.found == "0.5 minutes, in which this machine takes about 9 steps of 3 s"
    assert "`settings` training.budget_minutes=17 has time for 100 steps" in caught.value.remedy
    # At present it is slow, which may change.
    untimed(90.0, 2.5)
    assert "about 0 steps of 90 s" in plan(config, cases).warning


class Paced(Training):
    """Does nothing in the given times, over and over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
        self.device, self.group = torch.device("cpu"), ALONE
        self.seconds = itertools.cycle(seconds)
        self.taken, self.now = 0, 0.0
        for name in ("monotonic", "perf_counter"):
            monkeypatch.setattr(module.time, name, lambda: self.now)
        # Two threads work for half of the shortest time.
        monkeypatch.setattr(module.time, "process_time", lambda: self.taken * min(seconds))
        monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def step(self) -> dict[str, float]:
        self.taken += 1
        self.now += next(self.seconds)
        return {}


def test_a_moment_of_other_work_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    found = module._measured(Paced(monkeypatch, 0.2, 0.2, 0.2, 0.2, 9.0), 60)
    assert found == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(
    ("minutes", "step_seconds", "steps"),
    [(0.5, 0.125, 5), (2, 0.25, 10), (60, 1.0, 4), (60, 0.01, 40), (60, 20.0, 1)],
)
def test_measuring_takes_little_of_the_budget(
    monkeypatch: pytest.MonkeyPatch, minutes: float, step_seconds: float, steps: int
) -> None:
    trial = Paced(monkeypatch, step_seconds)
    module._measured(trial, 60 * minutes)
    assert trial.taken == steps


def test_minutes_on_this_machine(make_config: MakeConfig, cases: Cases) -> None:
    config = make_config(training={"steps": None, "budget_minutes": 0.1, "precision": "auto"})
    found = plan(config, cases)
    assert found.config.training.precision in ("float32", "bfloat16")
    assert 0 < found.step_seconds < found.spent_seconds < 6
    training = found.start(Training(found.config, cases[:-1], cases[-1:], "0"))
    assert training.course.state()["seconds"] >= found.spent_seconds


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
    plan(make_config(training={"steps": None, "budget_minutes": 0.05}), cases)
    assert torch.equal(torch.get_rng_state(), state)
    for ours, theirs in zip(before, weights_after_two_steps(), strict=True):
        assert torch.equal(ours, theirs)
