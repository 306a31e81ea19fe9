"""Estimates in, what a person reads about them out."""

from __future__ import annotations

import pytest

from slicewise.config import parse_config
from slicewise.planning.estimate import Estimate
from slicewise.planning.machine import Machine
from slicewise.planning.summary import estimate_rows


@pytest.mark.parametrize(("steps", "shown"), [(6, "0.303"), (2390, "120"), (59_990, "3,000")])
def test_a_short_fold_is_not_told_as_nothing(steps: int, shown: str) -> None:
    config = parse_config(
        f"name: a\ndata: {{}}\ntraining: {{steps: {steps}, validations: 1}}\n", "a"
    )
    # Steps of 3 s and one validation of 0.2 s.
    found = Estimate(config, 3.0, 100.0, 1, 0.2, 1.0, 1.0, 1.0)
    rows = dict(estimate_rows(found, Machine("one thread", has_gpu=False)))
    assert rows["one fold"] == f"{steps:,} steps in {shown} minutes"
