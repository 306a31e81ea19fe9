"""Scores of masks against their references, one row per case and structure, and their CSV file.

Policy for empty masks: a structure that is only in the reference, or only predicted, has Dice, IoU
and surface Dice 0 and no distance. Where reference and prediction are both empty the scores are
undefined: the row is kept, counted, and left out of every mean.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicewise.imaging.files import write_table
from slicewise.imaging.own_files import OwnFile
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import Reliability, reliability
from slicewise.metrics.components import ComponentCounts, component_counts
from slicewise.metrics.masks import mask_pair, on_one_grid, with_axes_of
from slicewise.metrics.overlap import Overlap, overlap
from slicewise.metrics.surfaces import surface_agreement

if TYPE_CHECKING:
    import pandas as pd

DETECTED, FALSE_NEGATIVE = "detected", "false negative"
FALSE_POSITIVE, BOTH_EMPTY = "false positive", "both empty"
STATES = (DETECTED, FALSE_NEGATIVE, FALSE_POSITIVE, BOTH_EMPTY)
"""What holds something: prediction and reference, only the latter, only the former, neither."""


@dataclass(frozen=True)
class Score:
    """One structure of one case; what is undefined is NaN.

    Attributes:
        case: name of the case.
        patient: whose it is, as a pseudonym or by the name of the case; cases of one
            patient are not independent.
        structure: name of the structure.
        state: ``detected``, ``false negative``, ``false positive`` or ``both empty``.
        dice: in [0, 1]; NaN when both masks are empty.
        iou: in [0, 1]; NaN when both masks are empty.
        sensitivity: share of the reference that was found; NaN without a reference.
        precision: share of the prediction that is right; NaN without a prediction.
        hd95_mm: 95th percentile of the distances of the surfaces; NaN unless detected.
        surface_distance_mm: average distance of the surfaces; NaN unless detected.
        surface_dice: share of both surfaces within the structure's tolerance of the other; 0 when
            false negative or false positive, NaN when both are empty.
        predicted_ml: volume of the prediction.
        reference_ml: volume of the reference.
        calibration_error: expected, see ``metrics.calibration``; NaN without probabilities.
        confidence: mean probability of the predicted voxels; NaN without any.
        components: counts of connected components, where it is made of several.
        in_pixels: whether distances and volumes are in pixels, because the spacing is unknown.
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
    in_pixels: bool = False

    @property
    def volume_error_ml(self) -> float:
        """Predicted minus reference volume."""
        return self.predicted_ml - self.reference_ml

    @property
    def relative_volume_error(self) -> float:
        """Volume error over the reference; NaN without a reference."""
        return self.volume_error_ml / self.reference_ml if self.reference_ml else math.nan

    @property
    def component_sensitivity(self) -> float:
        """Share of the reference's components that were found; NaN where none are counted."""
        return self.components.sensitivity if self.components else math.nan

    @property
    def component_precision(self) -> float:
        """Share of the predicted components that are right; NaN where none are counted."""
        return self.components.precision if self.components else math.nan

    @property
    def component_f1(self) -> float:
        """Harmonic mean of both; NaN where none are counted."""
        return self.components.f1 if self.components else math.nan


@dataclass(frozen=True)
class CaseScores:
    """A case as a whole.

    Attributes:
        scores: one row per structure.
        reliability: structure to its probabilities against the truth; empty without any.
    """

    scores: list[Score]
    reliability: dict[str, Reliability]


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
    predicted, reference = on_one_grid(predicted, reference)
    found = CaseScores([], {})
    for place, structure in enumerate(structures):
        score = _score_structure(case, patient or case, structure, predicted, reference)
        if probabilities:
            # One at a time: those of a large scan are as large as all of its memory.
            soft = with_axes_of(probabilities[1 + place], reference)
            bins = reliability(soft, _mask(reference, structure))
            found.reliability[structure.name] = bins
            score = replace(
                score,
                calibration_error=bins.expected_calibration_error,
                confidence=_mean(soft, _mask(predicted, structure)),
            )
        found.scores.append(score)
    return found


def _score_structure(
    case: str, patient: str, structure: Structure, predicted: Volume, reference: Volume
) -> Score:
    pair = mask_pair(predicted, reference, structure.value)
    counts = overlap(pair.predicted.voxels, pair.reference.voxels)
    surfaces = surface_agreement(pair, structure.surface_tolerance_mm)
    return Score(
        case=case,
        patient=patient,
        structure=structure.name,
        state=_state(counts),
        dice=counts.dice,
        iou=counts.iou,
        sensitivity=counts.sensitivity,
        precision=counts.precision,
        hd95_mm=surfaces.hd95_mm,
        surface_distance_mm=surfaces.distance_mm,
        surface_dice=surfaces.dice,
        predicted_ml=counts.predicted * reference.voxel_size,
        reference_ml=counts.reference * reference.voxel_size,
        components=component_counts(pair) if structure.several_components else None,
        in_pixels=not reference.spacing_is_known,
    )


def _mask(label_map: Volume, structure: Structure) -> Volume:
    return label_map.with_voxels(label_map.voxels == structure.value)


def _mean(probability: Volume, mask: Volume) -> float:
    chosen = probability.voxels[mask.voxels]
    return float(chosen.mean(dtype=np.float64)) if len(chosen) else math.nan


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """Write the rows as CSV; what is undefined is an empty cell.

    Raises:
        OutputError: the file cannot be written.
    """
    write_table(path, _columns(scores), _rows(scores))


def scores_table(scores: Sequence[Score]) -> pd.DataFrame:
    """The same rows and columns as a pandas table; what is undefined is NaN."""
    import pandas as pd

    return pd.DataFrame(_rows(scores), columns=list(_columns(scores)))


def column_of(key: str, *, in_pixels: bool) -> str:
    """Column of a figure: ``hd95_mm`` is in ``hd95_px`` if it is in pixels."""
    return key.replace("_mm", "_px").replace("_ml", "_px") if in_pixels else key


def are_in_pixels(scores: Iterable[Score]) -> bool:
    """Whether some distances and volumes are in pixels."""
    return any(score.in_pixels for score in scores)


def _columns(scores: Sequence[Score]) -> tuple[str, ...]:
    return (*_WRITTEN, *_IN_PIXELS) if are_in_pixels(scores) else _WRITTEN


def _rows(scores: Sequence[Score]) -> list[tuple[object, ...]]:
    columns = _columns(scores)
    return [tuple(cells.get(name, math.nan) for name in columns) for cells in map(_cells, scores)]


def _cells(score: Score) -> dict[str, object]:
    counts = astuple(score.components) if score.components else ()
    figures = {
        column_of(name, in_pixels=score.in_pixels): getattr(score, name)
        for name in (*_FIELDS, *_DERIVED)
    }
    return figures | dict(zip(_COMPONENTS, counts, strict=False))


def read_scores(path: Path) -> list[Score]:
    """Read the rows that ``write_scores`` wrote.

    Raises:
        DataError: no such file, another table, or one that is damaged.
    """
    return scores_file(path).rows(_COLUMNS, _score)


def scores_file(path: Path) -> OwnFile:
    """The file of scores."""
    return OwnFile(
        path,
        "scores of slicewise, one row per case and structure",
        "score again with `slicewise evaluate`, or train again",
    )


def _score(row: Mapping[str, str]) -> Score:
    if row["state"] not in STATES:
        raise ValueError(f"state {row['state']!r}, which is none of {', '.join(STATES)}")
    counts = [row[name] for name in _COMPONENTS]
    # Every row has volumes, in one of the units.
    in_pixels = not row["reference_ml"] and bool(row.get(_IN_PIXELS[0]))
    values: dict[str, Any] = {name: row[name] for name in _TEXTS}
    values |= {
        name: float(row[column_of(name, in_pixels=in_pixels)] or "nan")
        for name in _FIELDS
        if name not in _TEXTS
    }
    components = ComponentCounts(*map(int, counts)) if counts[0] else None
    return Score(**values, components=components, in_pixels=in_pixels)


def _state(counts: Overlap) -> str:
    if counts.reference:
        return DETECTED if counts.predicted else FALSE_NEGATIVE
    return FALSE_POSITIVE if counts.predicted else BOTH_EMPTY


_TEXTS = ("case", "patient", "structure", "state")
_FIELDS = tuple(item.name for item in fields(Score) if item.name not in ("components", "in_pixels"))
_DERIVED = ("volume_error_ml", "relative_volume_error")
_COMPONENTS = tuple(f"{item.name}_components" for item in fields(ComponentCounts))
_COLUMNS = (*_FIELDS, *_COMPONENTS)
"""What is read."""
_WRITTEN = (*_FIELDS, *_DERIVED, *_COMPONENTS)
_IN_PIXELS = (
    *("reference_px", "predicted_px", "volume_error_px"),
    *("hd95_px", "surface_distance_px"),
)
"""Further columns, where the spacing of a scan is unknown; those in mm and ml are empty then."""
