"""How sure a model is of each scan in, a CSV and the scans to look at first out."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from slicewise.cli.console import figure, show_table
from slicewise.imaging.files import write_text
from slicewise.segmentation.confidence import StructureConfidence

_FIRST = 5
_COLUMNS = (
    *("scan", "structure", "volume_ml", "estimated_dice"),
    *("predicted_dice", "predicted_dice_error", "uncertainty"),
)

Confidences = Mapping[str, Sequence[StructureConfidence]]


def write_confidences(confidences: Confidences, path: Path) -> None:
    """Write a row a scan and structure, the most doubtful first; what is undefined is empty.

    Args:
        confidences: name of each scan to those of its structures.
        path: of the CSV.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for scan, item in _by_doubt(confidences):
        figures = (getattr(item, name) for name in _COLUMNS[2:])
        cells = ("" if math.isnan(value) else f"{value:.6g}" for value in figures)
        writer.writerow((scan, item.structure, *cells))
    write_text(path, text.getvalue())


def show_first(confidences: Confidences) -> None:
    """Print what to look at first; of a single scan that is the scan."""
    if len(confidences) < 2:
        return
    rows = [
        (
            scan,
            item.structure,
            figure(item.volume_ml, 2) if item.volume_ml else "none",
            figure(item.estimated_dice, 3),
            _with_error(item),
            figure(item.uncertainty, 3),
        )
        for scan, item in list(_by_doubt(confidences))[:_FIRST]
    ]
    columns = ("scan", "structure", "ml", "promised Dice", "expected Dice", "uncertainty")
    show_table("To look at first", columns, rows)


def _by_doubt(confidences: Confidences) -> Iterator[tuple[str, StructureConfidence]]:
    """Structures without a voxel first, then by what their Dice probably is."""
    rows = [(scan, item) for scan, items in confidences.items() for item in items]
    yield from sorted(rows, key=lambda row: (row[1].volume_ml > 0, row[1].likely_dice))


def _with_error(item: StructureConfidence) -> str:
    if math.isnan(item.predicted_dice):
        return "-"
    return f"{figure(item.predicted_dice, 3)} ± {figure(item.predicted_dice_error, 3)}"
