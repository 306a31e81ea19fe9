"""Validation scores whole volumes, on the classes of the cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import TrainingError
from slicewise.segmentation.validation import ValidationScore, validate

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")


class Discs(nn.Module):
    """The truth of the toy task, read off the intensity of the middle slice; shifted on demand."""

    def __init__(self, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift
        self.modes: list[bool] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.modes.append(self.training)
        middle = windows[:, windows.shape[1] // 2]
        number = ((middle + 0.5) / 2).round().long().clamp(0, 2)
        return nn.functional.one_hot(number, 3).movedim(-1, 1).roll(self.shift, 1) * 20.0


def test_truth_scores_high_by_structure(
    make_config: MakeConfig, two_class_cases: Sequence[CachedCase]
) -> None:
    config = make_config(data={"labels": {"first": 4, "second": 9}})
    score = validate(Discs(), two_class_cases, config, CPU)
    assert list(score.dice) == ["first", "second"]
    # Noise of 0.2 hardly crosses the edge at a distance of 1.
    assert min(score.dice.values()) > 0.97
    assert score.mean == pytest.approx(sum(score.dice.values()) / 2)
    # Classes that are mixed up score low.
    assert validate(Discs(shift=1), two_class_cases, config, CPU).mean < 0.2


def test_the_mode_is_given_back(
    make_config: MakeConfig, two_class_cases: Sequence[CachedCase]
) -> None:
    config = make_config(data={"labels": {"first": 1, "second": 2}})
    for training in (True, False):
        network = Discs().train(training)
        validate(network, two_class_cases[:1], config, CPU)
        assert network.training is training
        assert not any(network.modes)


def test_a_structure_that_no_case_has_is_left_out(
    make_config: MakeConfig, two_class_cases: Sequence[CachedCase]
) -> None:
    class Nothing(nn.Module):
        def forward(self, windows: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros(len(windows), 4, *windows.shape[2:])
            logits[:, 0] = 9
            return logits

    config = make_config(data={"labels": {"first": 1, "second": 2, "ghost": 3}})
    score = validate(Nothing(), two_class_cases, config, CPU)
    assert score.dice["first"] == 0
    assert math.isnan(score.dice["ghost"])
    assert score.mean == 0


class Overflows(nn.Module):
    """Answers with a number that is none."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        return torch.full_like(windows, torch.inf)


@pytest.mark.fault(100, "E")
def test_values_that_are_no_numbers(
    make_config: MakeConfig, two_class_cases: Sequence[CachedCase]
) -> None:
    config = make_config(data={"labels": {"first": 4, "second": 9}})
    with pytest.raises(TrainingError, match="computed in float32") as caught:
        validate(Overflows(), two_class_cases, config, CPU)
    assert two_class_cases[0].name in caught.value.where


def test_mean_of_structures() -> None:
    assert ValidationScore({"a": 0.4, "b": math.nan, "c": 0.8}).mean == pytest.approx(0.6)
    assert ValidationScore({"a": math.nan}).mean == 0
