"""Masks and references in, one row a case and structure out, with a summary that hides nothing.

Policy for empty masks: a structure that is wholly missed, or invented, has Dice and IoU 0. Where
reference and prediction are both empty the scores are undefined: the row is kept, counted, and left
out of the mean.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pipeline.imaging.files import write_text
from pipeline.imaging.volume import Volume
from pipeline.metrics.overlap import Overlap, overlaps


@dataclass(frozen=True)
class Score:
    """One structure of one case.

    Attributes:
        case: name of the case.
        structure: name of the structure.
        dice: in [0, 1]; NaN when both masks are empty.
        iou: in [0, 1]; NaN when both masks are empty.
        predicted_ml: volume of the prediction.
        reference_ml: volume of the reference.
        state: ``detected``, ``missed``, ``invented`` or ``both empty``.
    """

    case: str
    structure: str
    dice: float
    iou: float
    predicted_ml: float
    reference_ml: float
    state: str


@dataclass(frozen=True)
class Summary:
    """One structure over all cases.

    Attributes:
        structure: its name.
        mean_dice: over the cases where it is defined; NaN where there is none.
        median_dice: likewise.
        mean_iou: likewise.
        cases: rows, the undefined ones included.
        missed: references without any prediction.
        invented: predictions without any reference.
        undefined: both empty.
    """

    structure: str
    mean_dice: float
    median_dice: float
    mean_iou: float
    cases: int
    missed: int
    invented: int
    undefined: int


def score_case(
    case: str, predicted: Volume, reference: Volume, labels: Mapping[str, int]
) -> list[Score]:
    """Score every structure of a case on the grid of the reference.

    Raises:
        GeometryError: prediction and reference lie on different grids.
    """
    return [
        Score(
            case,
            name,
            counts.dice,
            counts.iou,
            counts.predicted * reference.voxel_volume_ml,
            counts.reference * reference.voxel_volume_ml,
            _state(counts),
        )
        for name, counts in overlaps(predicted, reference, labels).items()
    ]


def summarize(scores: Sequence[Score]) -> list[Summary]:
    """One row a structure, in the order of their first appearance."""
    summaries = []
    for structure in dict.fromkeys(score.structure for score in scores):
        rows = [score for score in scores if score.structure == structure]
        dice = [row.dice for row in rows if not math.isnan(row.dice)]
        iou = [row.iou for row in rows if not math.isnan(row.iou)]
        states = [row.state for row in rows]
        summaries.append(
            Summary(
                structure,
                float(np.mean(dice)) if dice else math.nan,
                float(np.median(dice)) if dice else math.nan,
                float(np.mean(iou)) if iou else math.nan,
                len(rows),
                states.count("missed"),
                states.count("invented"),
                states.count("both empty"),
            )
        )
    return summaries


def mean_dice(summaries: Iterable[Summary]) -> float:
    """Mean of the structures' mean Dice; NaN where no structure has one."""
    known = [item.mean_dice for item in summaries if not math.isnan(item.mean_dice)]
    return float(np.mean(known)) if known else math.nan


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """Write the rows as CSV; undefined scores are empty cells.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Score.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for score in scores:
        writer.writerow({key: _cell(value) for key, value in asdict(score).items()})
    write_text(path, text.getvalue())


def read_scores(path: Path) -> list[Score]:
    """Read the rows that ``write_scores`` wrote."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Score(
                row["case"],
                row["structure"],
                float(row["dice"] or "nan"),
                float(row["iou"] or "nan"),
                float(row["predicted_ml"]),
                float(row["reference_ml"]),
                row["state"],
            )
            for row in csv.DictReader(stream)
        ]


def _state(counts: Overlap) -> str:
    if counts.reference and counts.predicted:
        return "detected"
    if counts.reference:
        return "missed"
    return "invented" if counts.predicted else "both empty"


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value
