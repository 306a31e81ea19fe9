"""The generalisation gap: both sides are scored alike, and what follows is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation import generalization
from slicewise.segmentation.generalization import Generalization, generalization_of
from slicewise.segmentation.training import Training
from slicewise.segmentation.training_progress import Unobserved
from slicewise.segmentation.validation import validate

MakeConfig = Callable[..., Config]


@pytest.mark.parametrize(
    ("trained", "held_out", "advice"),
    [
        (0.95, 0.87, "more cases or stronger augmentation promise more than more time"),
        (0.89, 0.88, "more time or a wider network promise more than more cases"),
        (0.80, 0.84, "more time or a wider network promise more than more cases"),
    ],
)
def test_a_wide_gap_asks_for_cases_and_a_narrow_one_for_time(
    trained: float, held_out: float, advice: str
) -> None:
    sentence = Generalization(trained, 3, held_out).sentence()
    assert sentence.startswith(f"Dice {trained:.3f} on 3 training cases, {held_out:.3f} on")
    assert sentence.endswith(advice)


def test_both_sides_are_scored_by_the_trained_network(
    make_config: MakeConfig,
    cases: Sequence[CachedCase],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    training = Training(make_config(), cases[:-1], cases[-1:], "0")
    training.run(tmp_path, Unobserved())
    monkeypatch.setattr(generalization, "_MOST_TIME", 1e6)
    found = generalization_of(training)
    assert found is not None
    cpu = torch.device("cpu")
    assert found.trained == validate(training.model, cases[:-1], training.config, cpu).mean
    assert found.held_out == validate(training.model, cases[-1:], training.config, cpu).mean
    assert found.cases == len(cases) - 1
    # However little time is left, one case is scored.
    monkeypatch.setattr(generalization, "_MOST_TIME", 0.0)
    few = generalization_of(training)
    assert few is not None
    assert few.cases == 1


def test_nothing_is_said_of_a_training_without_validation(
    make_config: MakeConfig, cases: Sequence[CachedCase]
) -> None:
    assert generalization_of(Training(make_config(), cases[:-1], cases[-1:], "0")) is None
