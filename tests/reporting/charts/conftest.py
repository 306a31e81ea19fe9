"""A comparison of two runs to draw."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.paired_difference import PairedDifference
from slicewise.evaluation.statistics import METRICS

DIFFERENCES = {"a": 0.1, "b": -0.05, "c": 0.3, "d": 0.0}


def a_comparison(
    *names: str, metric: str = "dice", differences: dict[str, float] = DIFFERENCES
) -> RunComparison:
    found = PairedDifference(0.0875, 0.01, 0.2, 4, 3, 0.5, 0.04, 0.08)
    rows = tuple(StructureComparison(name, 0.7, 0.8, found, differences) for name in names)
    return RunComparison(METRICS[metric], "old", "new", rows, (), ())


@pytest.fixture(scope="session")
def comparison_of() -> Callable[..., RunComparison]:
    """``comparison_of("core", "rim", metric="dice")``: the same differences for each structure."""
    return a_comparison
