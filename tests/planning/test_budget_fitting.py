"""A draft and invented durations in, a draft that its budget suffices for out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml

from slicewise.config import Config, parse_config
from slicewise.planning.budget_fitting import FittedPlan, fit_to_budget
from slicewise.planning.draft import Draft
from slicewise.planning.estimate import Estimate
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint
from slicewise.planning.machine import Machine
from slicewise.planning.rules import draft_plan

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
SLICES = 1000.0


def build(planned: Draft) -> Config:
    return parse_config(yaml.safe_dump(planned.values()), "trial")


def fitted(
    fingerprint: Fingerprint,
    step_seconds: Callable[[Config], float],
    validation_seconds: float = 1.0,
    **overrides: Any,
) -> tuple[Draft, FittedPlan, list[Config]]:
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    draft = draft_plan("trial", fingerprint, Machine("two threads", has_gpu=False), keys, 10)
    measured = []

    def measure(config: Config) -> Estimate:
        measured.append(config)
        return Estimate(config, step_seconds(config), SLICES, 1, validation_seconds, 1.0, 1.0, 1.0)

    return draft, fit_to_budget(draft, build, measure), measured


def wide(case: Make, data_set: Join) -> Fingerprint:
    """Its window is 96 x 96."""
    cases = [case(name, shape=(90, 95, 92), extent_mm=(60.0, 64.0, 58.0)) for name in "ab"]
    return data_set(*cases)


def test_a_budget_that_suffices_changes_nothing(case: Make, data_set: Join) -> None:
    draft, found, measured = fitted(wide(case, data_set), lambda _: 0.1)
    assert len(measured) == 1
    assert found.config.network.features == (32, 64, 128, 256, 256)
    # 600 s less 10 validations of 1 s, in steps of 0.1 s with 32 slices each.
    assert found.estimate.steps == 5900
    assert found.estimate.minutes == 10
    assert found.estimate.passes == 5900 * 32 / SLICES
    assert found.shortage == ""
    assert "half" not in dict(draft)["network.features"].reason


def test_a_short_budget_narrows_the_network_first(case: Make, data_set: Join) -> None:
    # 590 s in steps of 4 s are 147 of them: 4.7 passes.
    draft, found, measured = fitted(
        wide(case, data_set), lambda config: 4.0 if config.network.features[0] == 32 else 1.0
    )
    assert found.config.training.batch_size == 32
    assert found.config.training.learning_rate == 0.001
    assert len(measured) == 2
    assert found.config.network.features == (16, 32, 64, 128, 128)
    assert found.config.network.window == (96, 96)
    assert "4.7 passes" in dict(draft)["network.features"].reason
    assert found.shortage == ""


def test_more_passes_are_worth_more_than_channels(case: Make, data_set: Join) -> None:
    # 590 s in steps of 1 s are 590 of them: 18.9 passes, enough for the window.
    draft, found, measured = fitted(wide(case, data_set), lambda _: 1.0)
    assert len(measured) == 2
    assert found.config.network.features == (16, 32, 64, 128, 128)
    assert found.config.network.window == (96, 96)
    assert "18.9 passes" in dict(draft)["network.features"].reason
    assert found.shortage == ""


def test_then_the_window_and_says_what_is_short(case: Make, data_set: Join) -> None:
    cases = [case(name, shape=(70, 75, 72), extent_mm=(34.0, 36.0, 30.0)) for name in "ab"]
    _, found, measured = fitted(data_set(*cases), lambda _: 6.0, training__batch_size=32)
    assert len(measured) == 3
    # Three quarters of 56, which carry four levels.
    assert found.config.network.window == (40, 40)
    assert found.config.network.features == (16, 32, 64, 128)
    # 98 steps of 32 are 3.1 passes in ten minutes; 8 are 250 of 6 s, and room for validations.
    assert "3.1 passes" in found.shortage
    assert "28 minutes a fold" in found.shortage


def test_few_steps_become_smaller_and_longer(case: Make, data_set: Join) -> None:
    # 590 s in steps of 3 s are 196; half of 32 windows in half of the time are enough.
    draft, found, measured = fitted(
        wide(case, data_set), lambda config: 3.0 * config.training.batch_size / 32
    )
    assert found.config.training.batch_size == 16
    assert found.estimate.steps == 393
    reasons = {key: choice.reason for key, choice in draft}
    assert "half of 32, which would allow only 196 steps" in reasons["training.batch_size"]
    assert found.config.training.learning_rate == 0.003
    assert "only 196 steps of 32" in reasons["training.learning_rate"]
    # As drafted, with half the channels, a smaller window, and half the batch.
    assert len(measured) == 4


def test_batches_keep_eight_windows(case: Make, data_set: Join) -> None:
    # 590 s in steps of 3 s are 196, whatever their size.
    _, found, _ = fitted(wide(case, data_set), lambda _: 3.0)
    assert found.config.training.batch_size == 8


def test_a_given_learning_rate_stays(case: Make, data_set: Join) -> None:
    overrides = {"training__learning_rate": 0.0005, "training__batch_size": 24}
    _, found, _ = fitted(wide(case, data_set), lambda _: 3.0, **overrides)
    assert found.config.training.learning_rate == 0.0005
    assert found.config.training.batch_size == 24


def test_validations_are_no_reason_for_many_times_the_budget(case: Make, data_set: Join) -> None:
    # A single validation of 590 s leaves one step of 5 s; 8 passes are 250 steps, 1250 s.
    _, found, _ = fitted(
        wide(case, data_set), lambda _: 5.0, validation_seconds=590.0, training__batch_size=32
    )
    assert found.config.training.validations == 1
    # 1250 s and one validation of 590 s are 31 minutes.
    assert "31 minutes a fold" in found.shortage


def test_a_smaller_window_still_carries_the_given_levels(case: Make, data_set: Join) -> None:
    overrides = {"network__features": [8, 8, 8, 8, 8, 8]}
    cases = [case(name, shape=(60, 64, 62), extent_mm=(40.0, 42.0, 38.0)) for name in "ab"]
    _, found, _ = fitted(data_set(*cases), lambda _: 6.0, **overrides)
    # Three quarters of 64 would be 48, which six poolings cannot halve.
    assert found.config.network.window == (64, 64)


def test_what_is_given_is_not_touched(case: Make, data_set: Join) -> None:
    overrides = {
        "network__features": [24, 48],
        "network__window": [80, 80],
        "training__batch_size": 32,
    }
    _, found, measured = fitted(wide(case, data_set), lambda _: 6.0, **overrides)
    assert len(measured) == 1
    assert found.config.network.features == (24, 48)
    assert found.config.network.window == (80, 80)
    assert found.shortage


def test_given_steps_are_never_too_few(case: Make, data_set: Join) -> None:
    _, found, measured = fitted(wide(case, data_set), lambda _: 6.0, training__steps=3)
    assert len(measured) == 1
    assert found.estimate.steps == 3
    assert found.config.training.learning_rate == 0.001
    assert found.config.training.validations == 10
    assert found.shortage == ""


def test_long_validations_become_fewer(case: Make, data_set: Join) -> None:
    # 10 % of 600 s hold three of 20 s.
    _, found, measured = fitted(wide(case, data_set), lambda _: 0.1, validation_seconds=20.0)
    assert len(measured) == 1
    assert found.config.training.validations == 3
    assert found.estimate.config.training.validations == 3
    assert found.estimate.steps == (600 - 3 * 20) / 0.1


def test_long_validations_are_no_reason_for_a_smaller_network(case: Make, data_set: Join) -> None:
    # Ten of 50 s would leave 200 steps of 0.5 s, 6.4 passes; one leaves 1100, 35 passes.
    _, found, measured = fitted(wide(case, data_set), lambda _: 0.5, validation_seconds=50.0)
    assert len(measured) == 1
    assert found.config.network.features == (32, 64, 128, 256, 256)
    assert found.estimate.steps == 1100


def test_a_smaller_network_is_validated_more_often(case: Make, data_set: Join) -> None:
    def measure(config: Config) -> Estimate:
        is_wide = config.network.features[0] == 32
        return Estimate(config, 2.0, SLICES, 1, 60.0 if is_wide else 5.0, 1.0, 1.0, 1.0)

    machine = Machine("two threads", has_gpu=False)
    draft = draft_plan("trial", wide(case, data_set), machine, {}, 10)
    found = fit_to_budget(draft, build, measure)
    assert found.config.network.features == (16, 32, 64, 128, 128)
    assert found.config.training.validations == found.estimate.config.training.validations == 10
    assert dict(draft)["training.validations"].reason == ""


def test_epochs_count_every_view() -> None:
    config = parse_config("name: a\ndata: {}\ntraining: {epochs: 2, batch_size: 30}\n", "a")
    found = Estimate(config, 1.0, 100.0, 3, 1.0, 1.0, 1.0, 1.0)
    assert found.steps == 2 * 10
