"""What may be said about two runs, and what must be said with it."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import pytest

from slicewise.evaluation.comparison import StructureComparison
from slicewise.evaluation.paired_difference import PairedDifference
from slicewise.evaluation.statistics import METRICS
from slicewise.evaluation.verdicts import direction, verdict

NAMES = ("old", "new")
DICE, HD95 = METRICS["dice"], METRICS["hd95_mm"]


def row(**changes: Any) -> StructureComparison:
    """A comparison with changes of its own or of its paired difference."""
    names = {field.name for field in fields(PairedDifference)}
    difference = replace(
        PairedDifference(0.25, 0.125, 0.375, 8, 8, 0.9, 0.01, 0.02),
        **{name: value for name, value in changes.items() if name in names},
    )
    own = {name: value for name, value in changes.items() if name not in names}
    found = StructureComparison("core", 0.5, 0.75, difference, {"c0": 0.25})
    return replace(found, **own)


def test_the_sign_of_the_difference_names_the_winner() -> None:
    fall = row(mean=-0.25, low=-0.375, high=-0.125, effect_size=-0.9)
    assert verdict(row(), DICE, NAMES) == (
        "core: new is better, Dice by 0.2500 (corrected p = 0.0200)."
    )
    assert verdict(fall, DICE, NAMES).startswith("core: old is better")
    assert verdict(fall, HD95, NAMES).startswith("core: new is better, HD95 by 0.25 mm (")
    found = [direction(item, metric) for item in (row(), fall) for metric in (DICE, HD95)]
    assert found == [1, -1, -1, 1]


@pytest.mark.parametrize("p_corrected", [0.05, 0.5, math.nan])
def test_no_verdict_without_a_small_p(p_corrected: float) -> None:
    found = row(p_corrected=p_corrected)
    assert direction(found, DICE) == 0
    assert "nothing can be said about which run is better (" in verdict(found, DICE, NAMES)


@pytest.mark.parametrize(
    "changes", [{"low": -0.01}, {"low": -0.2, "high": -0.1}, {"effect_size": -0.3}]
)
def test_no_verdict_where_figures_point_elsewhere(changes: dict[str, float]) -> None:
    assert direction(row(**changes), DICE) == 0
    assert verdict(row(**changes), DICE, NAMES) == (
        "core: nothing can be said about which run is better (corrected p = 0.0200, "
        "but the interval or the effect speaks against the mean)."
    )


def test_what_a_run_missed_stands_beside_the_verdict() -> None:
    spared = row(undefined=4, undefined_first=1, undefined_second=3)
    assert verdict(spared, HD95, NAMES) == (
        "core: old is better where both found it, HD95 by 0.25 mm (corrected p = 0.0200); "
        "old alone missed 1, new alone 3."
    )
    assert verdict(spared, METRICS["precision"], NAMES) == (
        "core: new is better where both have a value, precision by 0.2500 (corrected p = 0.0200); "
        "undefined in old alone 1, in new alone 3."
    )
    even = row(undefined=4, undefined_first=2, undefined_second=2)
    assert "where both" not in verdict(even, HD95, NAMES)


def test_nothing_to_compare() -> None:
    absent = row(cases=0, differences={}, undefined=5, undefined_first=5, p_corrected=math.nan)
    assert verdict(absent, HD95, NAMES) == (
        "core: no case has the HD95 in both runs; old alone missed 5, new alone 0."
    )
    equal = row(differences={"c0": 0.0}, mean=0.0, p_corrected=1.0)
    assert verdict(equal, DICE, NAMES) == "core: both runs are equal in every case."
