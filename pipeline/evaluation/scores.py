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
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.imaging.files import write_text
from pipeline.imaging.structures import Structure
from pipeline.imaging.volume import Volume
from pipeline.metrics.calibration import Reliability
from pipeline.metrics.components import ComponentCounts
from pipeline.metrics.overlap import Overlap, overlaps


@dataclass(frozen=True)
class Score:
    """One structure of one case; what is undefined is NaN.

    Attributes:
        case: name of the case.
        patient: whose it is, as a pseudonym; cases of one patient are not independent.
        structure: name of the structure.
        state: ``detected``, ``missed``, ``invented`` or ``both empty``.
        dice: in [0, 1]; NaN when both masks are empty.
        iou: in [0, 1]; NaN when both masks are empty.
        sensitivity: share of the reference that was found; NaN without a reference.
        precision: share of the prediction that is right; NaN without a prediction.
        hd95_mm: 95th percentile of the distances of the surfaces; NaN unless detected.
        surface_distance_mm: average distance of the surfaces; NaN unless detected.
        surface_dice: share of both surfaces within the structure's tolerance of the other; 0 when
            missed or invented, NaN when both are empty.
        predicted_ml: volume of the prediction.
        reference_ml: volume of the reference.
        calibration_error: expected, see ``metrics.calibration``; NaN without probabilities.
        confidence: mean probability of the predicted voxels; NaN without any.
        components: pieces of the structure one by one, where it is made of several.
    """

    case: str
    patient: str
    structure: str
    state: str
    dice: float
    iou: float
    sensitivity: float
    precision: float
    hd95_mm: float
    surface_distance_mm: float
    surface_dice: float
    predicted_ml: float
    reference_ml: float
    calibration_error: float = math.nan
    confidence: float = math.nan
    components: ComponentCounts | None = None

    @property
    def volume_error_ml(self) -> float:
        """Predicted minus reference volume."""
        return self.predicted_ml - self.reference_ml

    @property
    def relative_volume_error(self) -> float:
        """Volume error over the reference; NaN without a reference."""
        return self.volume_error_ml / self.reference_ml if self.reference_ml else math.nan


@dataclass(frozen=True)
class CaseScores:
    """A case as a whole.

    Attributes:
        scores: a row a structure.
        reliability: structure to its probabilities against the truth; empty without any.
    """

    scores: list[Score]
    reliability: dict[str, Reliability]


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
    case: str,
    predicted: Volume,
    reference: Volume,
    structures: Sequence[Structure],
    *,
    patient: str = "",
    probabilities: Sequence[Volume] = (),
) -> CaseScores:
    """Score every structure of a case on the grid of the reference.

    Args:
        case: its name.
        predicted: label map.
        reference: label map on the same grid, axes in any order.
        structures: what the values mean.
        patient: pseudonym; empty takes the case for a patient of its own.
        probabilities: background, then each structure, on the grid of the prediction.

    Raises:
        GeometryError: prediction and reference lie on different grids.
        LabelError: one of them holds more than whole numbers.
    """
    assert not probabilities or len(probabilities) == len(structures) + 1
    labels = {structure.name: structure.value for structure in structures}
    scores = [
        Score(
            case=case,
            patient=patient or case,
            structure=name,
            state=_state(counts),
            dice=counts.dice,
            iou=counts.iou,
            sensitivity=counts.common / counts.reference if counts.reference else math.nan,
            precision=counts.common / counts.predicted if counts.predicted else math.nan,
            hd95_mm=math.nan,
            surface_distance_mm=math.nan,
            surface_dice=math.nan,
            predicted_ml=counts.predicted * reference.voxel_volume_ml,
            reference_ml=counts.reference * reference.voxel_volume_ml,
        )
        for name, counts in overlaps(predicted, reference, labels).items()
    ]
    return CaseScores(scores, {})


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
    """Write the rows as CSV; what is undefined is an empty cell.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_FIELDS, *_DERIVED, *_COMPONENTS))
    for score in scores:
        values = [getattr(score, name) for name in (*_FIELDS, *_DERIVED)]
        counts = astuple(score.components) if score.components else [""] * len(_COMPONENTS)
        writer.writerow([*map(_cell, values), *counts])
    write_text(path, text.getvalue())


def read_scores(path: Path) -> list[Score]:
    """Read the rows that ``write_scores`` wrote.

    Raises:
        DataError: another table, or one that is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [_score(row) for row in csv.DictReader(stream)]
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise DataError(
            path,
            expected=f"a table with the columns {', '.join(_FIELDS)}",
            found=f"{type(error).__name__}: {error}",
            remedy="write it again with `slicewise train` or `slicewise evaluate`",
        ) from error


def _score(row: Mapping[str, str]) -> Score:
    counts = [row[name] for name in _COMPONENTS]
    values: dict[str, Any] = {name: row[name] for name in _TEXTS}
    values |= {name: float(row[name] or "nan") for name in _FIELDS if name not in _TEXTS}
    components = ComponentCounts(*map(int, counts)) if counts[0] else None
    return Score(**values, components=components)


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


_TEXTS = ("case", "patient", "structure", "state")
_FIELDS = tuple(item.name for item in fields(Score) if item.name != "components")
_DERIVED = ("volume_error_ml", "relative_volume_error")
_COMPONENTS = tuple(f"{item.name}_components" for item in fields(ComponentCounts))
