"""Regression of the Dice of held-out masks on their model-estimated Dice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import linregress

from slicewise.config import DicePrediction
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, MaskEvidence
from slicewise.evaluation.paired_difference import PairedDifference, paired_difference
from slicewise.evaluation.paired_tests import Floats

LEAST_CASES = 10
"""With fewer masks no line is fitted."""
_LEAST_TO_LEARN_FROM = 5
_DIGITS = 4


@dataclass(frozen=True)
class DiceRegression:
    """Whether the model-estimated Dice of a mask predicts its Dice.

    Attributes:
        regression: the line, with the standard error of cases held out from its fit; None where it
            predicts no better than the mean Dice of the other cases.
        gain: the absolute error of that mean, minus that of the line.
    """

    regression: DicePrediction | None
    gain: PairedDifference


@dataclass(frozen=True)
class _Point:
    """A mask that is not empty."""

    estimated_dice: float
    dice: float
    patient: str
    fold: int


def fit_dice_regression(
    cases: Sequence[CaseEvidence], structure: str, temperature: int, option: str | None
) -> DiceRegression | None:
    """Fit the Dice of a structure to its model-estimated Dice.

    Args:
        cases: of all folds.
        structure: its name.
        temperature: index in ``TEMPERATURES`` of the one that was chosen.
        option: post-processing that was chosen for the structure.

    Returns:
        None with too few masks that are not empty, in all or outside of any one fold.
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
    residuals = np.concatenate([_residuals(*split) for split in splits])  # (cases, 2)
    gain = paired_difference(
        np.abs(residuals[:, 0]) - np.abs(residuals[:, 1]),
        [point.patient for _, own in splits for point in own],
    )
    of_mean, of_line = np.sqrt((residuals**2).mean(0))
    intercept, slope = _line(points)
    if slope <= 0 or of_line >= of_mean:
        return DiceRegression(None, gain)
    figures = (round(float(value), _DIGITS) for value in (intercept, slope, of_line))
    return DiceRegression(
        DicePrediction(**dict(zip(("intercept", "slope", "error"), figures, strict=True))),
        gain,
    )


def _point(mask: MaskEvidence, case: CaseEvidence, temperature: int) -> _Point | None:
    # The estimate for an empty mask is 0, and its Dice depends on the reference alone.
    estimated_dice = mask.estimated_dice[temperature]
    if mask.dice is None or estimated_dice == 0:
        return None
    return _Point(estimated_dice, mask.dice, case.patient, case.fold)


def _split(points: Sequence[_Point], fold: int) -> tuple[list[_Point], list[_Point]]:
    others = [point for point in points if point.fold != fold]
    return others, [point for point in points if point.fold == fold]


def _residuals(others: Sequence[_Point], own: Sequence[_Point]) -> Floats:
    """Dice of each own point minus mean and line of the other points, shape (points, 2)."""
    intercept, slope = _line(others)
    mean = np.mean([point.dice for point in others])
    return np.array(
        [
            (point.dice - mean, point.dice - intercept - slope * point.estimated_dice)
            for point in own
        ]
    )


def _line(points: Sequence[_Point]) -> tuple[float, float]:
    """Intercept and slope by least squares; level where all estimates are the same."""
    estimated = [point.estimated_dice for point in points]
    dice = [point.dice for point in points]
    if np.ptp(estimated) == 0:
        return float(np.mean(dice)), 0.0
    found = linregress(estimated, dice)
    return float(found.intercept), float(found.slope)
