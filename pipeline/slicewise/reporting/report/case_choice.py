"""Chooses the cases that a report shows: best, median and worst, then those with failures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slicewise.reporting.report.contents import Report

MOST_FAILURES = 9


@dataclass(frozen=True)
class Choice:
    """A case that is shown.

    Attributes:
        name: of the case.
        role: why it is shown, such as ``median``.
        by_errors: show the slice with most errors instead of the one with most foreground.
    """

    name: str
    role: str
    by_errors: bool


def choose_cases(report: Report) -> list[Choice]:
    """Best, median and worst case by mean Dice, then cases with failures, the worst kind first.

    Masks without scores are ranked by volume.
    """
    if report.volumes_ml:
        values = _total_volumes(report.volumes_ml)
        roles = ("largest", "median volume", "smallest")
    else:
        values = _mean_dice(report)
        roles = ("best", "median", "worst")
    ranked = sorted(values, key=lambda name: (-values[name], name))
    chosen = _spread(ranked, roles)
    known = {choice.name for choice in chosen}
    kinds: dict[str, str] = {}
    for failure in report.failures:
        kinds.setdefault(failure.case, failure.kind)
    rest = [Choice(name, kind, by_errors=True) for name, kind in kinds.items() if name not in known]
    return [*chosen, *rest[:MOST_FAILURES]]


def _spread(ranked: Sequence[str], roles: tuple[str, str, str]) -> list[Choice]:
    """First, middle and last of a ranking, as far as there are so many."""
    if len(ranked) < 2:
        return [Choice(name, "the only case", by_errors=True) for name in ranked]
    places = {0: roles[0], len(ranked) - 1: roles[2]}
    if len(ranked) > 2:
        places[len(ranked) // 2] = roles[1]
    return [
        Choice(ranked[place], places[place], by_errors=places[place] == "worst")
        for place in sorted(places)
    ]


def _mean_dice(report: Report) -> dict[str, float]:
    """Mean over the structures where Dice is defined."""
    values: dict[str, list[float]] = {}
    for score in report.scores:
        if not math.isnan(score.dice):
            values.setdefault(score.case, []).append(score.dice)
    return {name: sum(dice) / len(dice) for name, dice in values.items()}


def _total_volumes(volumes_ml: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for of_cases in volumes_ml.values():
        for name, value in of_cases.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals
