"""The spacing of the scans of a training, to which scans of other spacings are resampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from slicewise.config import PreprocessingSection
from slicewise.dataset.measurements import PICTURE, Measurements
from slicewise.dataset.plane import kept_spacing, slice_axis
from slicewise.imaging.volume import Volume

TOLERANCE = 1.05
"""Spacings that are up to so many times below or above those of the training agree with them."""


@dataclass(frozen=True)
class TrainingSpacing:
    """In mm, of the axes that ``preprocessing.spacing_mm`` has: two in the slices, or all three.

    Attributes:
        lowest: of the scans of the training.
        median: of these.
        highest: of these.
    """

    lowest: tuple[float, ...]
    median: tuple[float, ...]
    highest: tuple[float, ...]

    @classmethod
    def of(cls, measured: Sequence[Measurements], section: PreprocessingSection) -> Self | None:
        """Summarise the scans of a training; None without a scan whose spacing is known."""
        steps = [
            kept_spacing(section, slice_axis(grid, section), grid.spacing_mm)
            for grid in map(_grid, measured)
            if grid.spacing_is_known
        ]
        if not steps:
            return None
        lowest, median, highest = (
            tuple(float(value) for value in row) for row in np.percentile(steps, (0, 50, 100), 0)
        )
        return cls(lowest, median, highest)

    def has(self, spacing_mm: Sequence[float]) -> bool:
        """Whether the spacing of a scan agrees with that of the training."""
        return all(
            low <= TOLERANCE * step and step <= TOLERANCE * high
            for low, step, high in zip(self.lowest, spacing_mm, self.highest, strict=True)
        )


def at_training_spacing(
    section: PreprocessingSection, trained: TrainingSpacing | None, scan: Volume
) -> PreprocessingSection:
    """The preprocessing of a scan that is to be predicted.

    Args:
        section: of the training.
        trained: spacing of its scans; None if it is not known.
        scan: first contrast.

    Returns:
        The section itself, or with the spacing of the training where that of the scan does not
        agree with it.
    """
    is_set = section.spacing_mm is not None or section.longest_side is not None
    if trained is None or is_set or not scan.spacing_is_known:
        return section
    if trained.has(_stored_spacing(section, scan)):
        return section
    return section.model_copy(update={"spacing_mm": trained.median})


def _stored_spacing(section: PreprocessingSection, scan: Volume) -> tuple[float, ...]:
    """Spacing of a scan along the axes that ``preprocessing.spacing_mm`` has."""
    return kept_spacing(section, slice_axis(scan, section), scan.reoriented("RAS").spacing_mm)


def _grid(scan: Measurements) -> Volume:
    shape = [round(size / step) for size, step in zip(scan.size_mm, scan.spacing_mm, strict=True)]
    return Volume(
        np.broadcast_to(np.uint8(0), shape),
        np.diag([*scan.spacing_mm, 1.0]),
        spacing_is_known=scan.words.get("Kind") != PICTURE,
    )
