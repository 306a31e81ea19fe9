"""Finds the cases of a run that should be reviewed, each with a reason."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from slicewise.dataset.cohort_qc import FEWEST_CASES, ROBUST_Z
from slicewise.evaluation.scores import (
    BOTH_EMPTY,
    DETECTED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    Score,
    are_in_pixels,
)
from slicewise.quantities import part_of, size

MIN_DICE = 0.5
"""A lower Dice is a failure, whatever the other cases are like."""
MIN_PRECISION = 0.5
"""A lower precision means that most of the prediction lies outside the structure."""
KINDS = {
    "empty": "nothing was predicted in the whole case",
    "false negative": "a structure of the reference was not predicted",
    "false positive": "a structure was predicted that the reference does not have",
    "leaked": "much of the prediction lies outside the reference",
    "far off": "surface distance far above those of the other cases",
    "low Dice": f"Dice below {MIN_DICE}, or far below the other cases",
    "unlike scan": "the scan looks unlike those that the model was trained on",
    "odd volume": "volume error or volume unlike those of the other cases",
    "low confidence": "probabilities far below those of the other cases",
}
"""From the worst to the mildest."""
NO_REASONS: Mapping[str, str] = MappingProxyType({})

_MAD_TO_DEVIATION = 1.4826
# Deviations are taken for at least as large: among equals, trifles are no outliers.
_MIN_DICE_DEVIATION = 0.01
_MIN_DISTANCE_DEVIATION_MM = 0.5
_MIN_VOLUME_DEVIATION = 0.02
_MIN_CONFIDENCE_DEVIATION = 0.005


@dataclass(frozen=True)
class Failure:
    """Why a case should be reviewed.

    Attributes:
        case: its name.
        structure: that fails; empty for the case as a whole.
        kind: one of ``KINDS``.
        reason: in figures.
        dice: of the structure; NaN where there is none.
    """

    case: str
    structure: str
    kind: str
    reason: str
    dice: float = math.nan


def find_failures(scores: Sequence[Score], unlike: Mapping[str, str] = NO_REASONS) -> list[Failure]:
    """What failed, the worst kind first, within a kind by Dice.

    "Unlike the other cases" is a robust z beyond 3.5 within the structure.

    Args:
        scores: of all cases.
        unlike: name of each case whose scan is unlike those of the training, to the reasons.

    Source:
        Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
    """
    found = list(_empty_cases(scores))
    empty = {failure.case for failure in found}
    for name in dict.fromkeys(score.structure for score in scores):
        rows = [row for row in scores if row.structure == name and row.state != BOTH_EMPTY]
        found += _absolute([row for row in rows if row.case not in empty])
        found += _relative([row for row in rows if row.state == DETECTED])
    return _ranked([*found, *_unlike(unlike)])


def volume_outliers(
    volumes_ml: Mapping[str, Mapping[str, float]],
    unlike: Mapping[str, str] = NO_REASONS,
    *,
    in_pixels: bool = False,
) -> list[Failure]:
    """Predicted volumes unlike the others, where there is no reference, and scans of other kinds.

    Args:
        volumes_ml: structure to the volume of each case.
        unlike: see ``find_failures``.
        in_pixels: whether volumes are areas in pixels.
    """
    found = []
    for name, of_cases in volumes_ml.items():
        present = {case: math.log(value) for case, value in of_cases.items() if value > 0}
        distances = robust_z(present, _MIN_VOLUME_DEVIATION)
        for case, value in of_cases.items():
            if not value and len(present) >= FEWEST_CASES:
                found.append(Failure(case, name, "odd volume", "nothing predicted"))
            elif abs(distances.get(case, 0)) > ROBUST_Z:
                median = float(np.median([of_cases[other] for other in present]))
                reason = (
                    f"{size(value, in_pixels=in_pixels)}, "
                    f"median {size(median, in_pixels=in_pixels)} "
                    f"(robust z {distances[case]:+.1f})"
                )
                found.append(Failure(case, name, "odd volume", reason))
    return _ranked([*found, *_unlike(unlike)])


def robust_z(values: Mapping[str, float], min_deviation: float) -> dict[str, float]:
    """Distance from the median in deviations that the MAD estimates; empty with few values."""
    known = {case: value for case, value in values.items() if math.isfinite(value)}
    if len(known) < FEWEST_CASES:
        return {}
    numbers = np.array(list(known.values()))
    deviations = numbers - np.median(numbers)
    deviation = max(_MAD_TO_DEVIATION * float(np.median(np.abs(deviations))), min_deviation)
    return dict(zip(known, (deviations / deviation).tolist(), strict=True))


def _unlike(unlike: Mapping[str, str]) -> Iterator[Failure]:
    for case, reasons in unlike.items():
        yield Failure(case, "", "unlike scan", reasons)


def _empty_cases(scores: Sequence[Score]) -> Iterator[Failure]:
    for case in dict.fromkeys(score.case for score in scores):
        rows = [row for row in scores if row.case == case]
        expected = sum(row.reference_ml for row in rows)
        if expected and not any(row.predicted_ml for row in rows):
            reason = f"nothing predicted, {_size(expected, rows[0])} expected"
            yield Failure(case, "", "empty", reason, 0.0)


def _size(value: float, score: Score) -> str:
    return size(value, in_pixels=score.in_pixels)


def _absolute(rows: Sequence[Score]) -> Iterator[Failure]:
    """What fails whatever the other cases are like."""
    for row in rows:
        if row.state == FALSE_NEGATIVE:
            yield _failure(row, "false negative", f"{_size(row.reference_ml, row)} not found")
        elif row.state == FALSE_POSITIVE:
            reason = f"{_size(row.predicted_ml, row)} where there is none"
            yield _failure(row, "false positive", reason)
        elif row.precision < MIN_PRECISION:
            outside = (1 - row.precision) * row.predicted_ml
            sizes = part_of(outside, row.predicted_ml, in_pixels=row.in_pixels)
            reason = f"{sizes} lie outside the reference"
            yield _failure(row, "leaked", reason)
        elif row.dice < MIN_DICE:
            yield _failure(row, "low Dice", f"Dice {row.dice:.3f}")


def _relative(rows: Sequence[Score]) -> Iterator[Failure]:
    """What is unlike the other cases of a structure."""
    unit = "px" if are_in_pixels(rows) else "mm"
    measures = (
        ("leaked", "precision", _MIN_DICE_DEVIATION, -1, "precision", "{:.3f}"),
        ("far off", "hd95_mm", _MIN_DISTANCE_DEVIATION_MM, 1, "HD95", f"{{:.1f}} {unit}"),
        ("low Dice", "dice", _MIN_DICE_DEVIATION, -1, "Dice", "{:.3f}"),
        ("odd volume", "relative_volume_error", _MIN_VOLUME_DEVIATION, 0, "volume", "{:+.0%}"),
        ("low confidence", "confidence", _MIN_CONFIDENCE_DEVIATION, -1, "confidence", "{:.3f}"),
    )
    for kind, key, min_deviation, side, title, style in measures:
        values = {row.case: float(getattr(row, key)) for row in rows}
        distances = robust_z(values, min_deviation)
        for row in rows:
            distance = distances.get(row.case, 0.0)
            if (side * distance if side else abs(distance)) > ROBUST_Z:
                median = style.format(float(np.nanmedian(list(values.values()))))
                value = style.format(values[row.case])
                reason = f"{title} {value}, median {median} (robust z {distance:+.1f})"
                yield _failure(row, kind, reason)


def _failure(row: Score, kind: str, reason: str) -> Failure:
    return Failure(row.case, row.structure, kind, reason, row.dice)


def _ranked(found: Sequence[Failure]) -> list[Failure]:
    """Sorted, each kind once a structure of a case: an absolute reason goes before a relative."""
    kept: dict[tuple[str, str, str], Failure] = {}
    for failure in found:
        kept.setdefault((failure.case, failure.structure, failure.kind), failure)
    ranks = list(KINDS)
    return sorted(
        kept.values(),
        key=lambda item: (
            ranks.index(item.kind),
            math.inf if math.isnan(item.dice) else item.dice,
            item.case,
        ),
    )
