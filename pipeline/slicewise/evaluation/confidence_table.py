"""The table of how confident a model is in the masks of each scan, least confident first."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.errors import OutputError
from slicewise.imaging.files import write_table
from slicewise.segmentation.confidence import StructureConfidence
from slicewise.segmentation.unlikeness import Unlikeness

_FIGURES = (
    *("volume_ml", "volume_px", "estimated_dice"),
    *("predicted_dice", "predicted_dice_error", "uncertainty"),
)
_COLUMNS = ("scan", "structure", *_FIGURES, "unlikeness", "unlike")

Confidences = Mapping[str, Sequence[StructureConfidence]]
"""Name of each scan to the confidences of its structures."""


def write_confidences(
    confidences: Confidences, unlikeness: Mapping[str, Unlikeness], path: Path
) -> None:
    """Write one row per scan and structure, least confident first; what is undefined is empty.

    Args:
        confidences: of each scan.
        unlikeness: of each scan.
        path: of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = (
        (
            *(scan, item.structure, *(getattr(item, name) for name in _FIGURES)),
            *(unlikeness[scan].score, "; ".join(unlikeness[scan].reasons)),
        )
        for scan, item in least_confident_first(confidences, unlikeness)
    )
    write_table(path, _COLUMNS, rows)


def read_confidences(
    path: Path,
) -> tuple[dict[str, tuple[StructureConfidence, ...]], dict[str, Unlikeness]]:
    """What ``write_confidences`` wrote; empty where the table has other columns.

    Returns:
        Name of each scan to its confidences, and to its unlikeness.

    Raises:
        OutputError: the table cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, ValueError, csv.Error) as error:
        raise OutputError(
            path,
            expected="the table of confidences that `slicewise predict` wrote",
            found=str(error),
            remedy="remove it, and predict again",
        ) from error
    found: dict[str, tuple[StructureConfidence, ...]] = {}
    unlikeness: dict[str, Unlikeness] = {}
    for row in rows:
        if not set(_COLUMNS) <= row.keys():
            return {}, {}
        figures = {name: float(row[name]) if row[name] else math.nan for name in _FIGURES}
        item = StructureConfidence(row["structure"], **figures)
        found[row["scan"]] = (*found.get(row["scan"], ()), item)
        score = float(row["unlikeness"]) if row["unlikeness"] else math.nan
        unlikeness[row["scan"]] = Unlikeness(score, tuple(filter(None, row["unlike"].split("; "))))
    return found, unlikeness


def least_confident_first(
    confidences: Confidences, unlikeness: Mapping[str, Unlikeness]
) -> list[tuple[str, StructureConfidence]]:
    """Scans unlike the training first, then structures without a voxel; by likely Dice and name."""
    rows = [(scan, item) for scan, items in confidences.items() for item in items]
    return sorted(
        rows,
        key=lambda row: (
            not unlikeness[row[0]].reasons,
            not row[1].is_empty,
            row[1].likely_dice,
            row[0],
        ),
    )
