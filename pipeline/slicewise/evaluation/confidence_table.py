"""The table of how confident a model is in the masks of each scan, least confident first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.imaging.files import write_table
from slicewise.segmentation.confidence import StructureConfidence

_FIGURES = (
    *("volume_ml", "estimated_dice"),
    *("predicted_dice", "predicted_dice_error", "uncertainty"),
)

Confidences = Mapping[str, Sequence[StructureConfidence]]
"""Name of each scan to the confidences of its structures."""


def write_confidences(confidences: Confidences, path: Path) -> None:
    """Write one row per scan and structure, least confident first; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = (
        (scan, item.structure, *(getattr(item, name) for name in _FIGURES))
        for scan, item in least_confident_first(confidences)
    )
    write_table(path, ("scan", "structure", *_FIGURES), rows)


def least_confident_first(confidences: Confidences) -> list[tuple[str, StructureConfidence]]:
    """Structures without a voxel first, then by their most likely Dice."""
    rows = [(scan, item) for scan, items in confidences.items() for item in items]
    return sorted(rows, key=lambda row: (row[1].volume_ml > 0, row[1].likely_dice))
