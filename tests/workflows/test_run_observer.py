"""What a training reports about its validations."""

from __future__ import annotations

from typing import cast
from unittest.mock import Mock

import pytest
from tests.recorded_progress import RecordedProgress, RecordedTask

from slicewise.segmentation.validation import ValidationScore
from slicewise.tracking.runs import TrackedRun
from slicewise.workflows.run_observer import RunObserver


@pytest.mark.parametrize(
    ("dice", "best"),
    [
        ((0.5, 0.7, 0.8, 0.85, 0.86), []),
        ((0.7, 0.85, 0.84, 0.84, 0.84), []),
        ((0.7, 0.85, 0.82, 0.84, 0.82), []),
        ((0.7, 0.85, 0.82, 0.81, 0.80, 0.79), [(0.85, 2)]),
        ((0.7, 0.6, 0.6, 0.8, 0.7, 0.7, 0.7), [(0.7, 1), (0.8, 4)]),
    ],
)
def test_overfitting_is_told_once_for_each_best_network(
    dice: tuple[float, ...], best: list[tuple[float, int]]
) -> None:
    progress, run = RecordedProgress(), cast(TrackedRun, Mock())
    observer = RunObserver(progress, RecordedTask("training", 9), run, Mock())
    for step, value in enumerate(dice, start=1):
        observer.on_validation(step, ValidationScore({"core": value}))
    told = [message for message in progress.messages if message.startswith("warning")]
    assert len(told) == len(best)
    for message, (value, step) in zip(told, best, strict=True):
        assert f"overfitting: the validation Dice was {value:.4f} at step {step};" in message
