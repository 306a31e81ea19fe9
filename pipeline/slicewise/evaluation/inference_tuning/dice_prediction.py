"""What held-out masks promised and what they came to in, a line from one to the other out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress

from slicewise.config import DicePrediction
from slicewise.evaluation.inference_tuning.effects import Effect, Floats, effect
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, MaskEvidence

LEAST_CASES = 10
"""With fewer masks no line is drawn."""
_LEAST_TO_LEARN_FROM = 5
_DIGITS = 4


@dataclass(frozen=True)
class DiceRegression:
    """Whether the promise of a mask tells its Dice.

    Attributes:
        regression: the line, with the deviation of cases from lines of the other folds; None where
            it tells no more than the mean Dice of the other cases.
        effect: by how much the line is nearer to the Dice of a case than that mean.
    """

    regression: DicePrediction | None
    effect: Effect


@dataclass(frozen=True)
class _Point:
    """A mask that holds something."""

    promised: float
    dice: float
    patient: str
    fold: int


def fit_dice_regression(
    cases: Sequence[CaseEvidence], structure: str, temperature: int, option: str | None
) -> DiceRegression | None:
    """Learn how the Dice of a structure follows from its promise.

    Args:
        cases: of all folds.
        structure: its name.
        temperature: place among ``TEMPERATURES`` of the one that is chosen.
        option: post-processing that is chosen for the structure.

    Returns:
        None with too few masks that hold something, or too few outside of any fold.
    """
    points = []
    for case in cases:
        found = case.structures[structure]
        mask = found.changed.get(option, found.plain) if option else found.plain
        if point := _point(mask, case, temperature):
            points.append(point)
    folds = sorted({point.fold for point in points})
    splits = [_split(points, fold) for fold in folds]
    if len(points) < LEAST_CASES or min(len(o) for o, _ in splits) < _LEAST_TO_LEARN_FROM:
        return None
    apart = np.concatenate([_difference(*split) for split in splits])  # (cases, 2)
    found_effect = effect(
        np.abs(apart[:, 0]) - np.abs(apart[:, 1]), [p.patient for _, own in splits for p in own]
    )
    of_mean, of_line = np.sqrt((apart**2).mean(0))
    intercept, slope = _line(points)
    if slope <= 0 or of_line >= of_mean:
        return DiceRegression(None, found_effect)
    figures = (round(float(value), _DIGITS) for value in (intercept, slope, of_line))
    return DiceRegression(
        DicePrediction(**dict(zip(("intercept", "slope", "error"), figures, strict=True))),
        found_effect,
    )


def _point(mask: MaskEvidence, case: CaseEvidence, temperature: int) -> _Point | None:
    # An empty mask promises nothing, and what it comes to depends on the reference alone.
    promised = mask.promised[temperature]
    if mask.dice is None or promised == 0:
        return None
    return _Point(promised, mask.dice, case.patient, case.fold)


def _split(points: Sequence[_Point], fold: int) -> tuple[list[_Point], list[_Point]]:
    others = [point for point in points if point.fold != fold]
    return others, [point for point in points if point.fold == fold]


def _difference(others: Sequence[_Point], own: Sequence[_Point]) -> Floats:
    """How far mean and line of other points are from each own one, shape (points, 2)."""
    intercept, slope = _line(others)
    mean = np.mean([point.dice for point in others])
    return np.array(
        [(point.dice - mean, point.dice - intercept - slope * point.promised) for point in own]
    )


def _line(points: Sequence[_Point]) -> tuple[float, float]:
    """Intercept and slope by least squares; level where all promises are the same."""
    promised = [point.promised for point in points]
    dice = [point.dice for point in points]
    if np.ptp(promised) == 0:
        return float(np.mean(dice)), 0.0
    found = linregress(promised, dice)
    return float(found.intercept), float(found.slope)
