"""A path in, every DICOM volume below it out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.config import ReadingSection
from pipeline.imaging.dicom.series import SeriesScan, find_series


@dataclass(frozen=True)
class DicomScanner:
    """How DICOM is searched for.

    Attributes:
        reading: how faults are met.
    """

    reading: ReadingSection = ReadingSection()

    def find(self, path: Path) -> SeriesScan:
        """Every volume in the files of a folder."""
        return find_series(path)
