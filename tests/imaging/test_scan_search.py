"""Scans below a folder get names that no other scan has, however many are alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tests.linear_time import linear_time

from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.scan_search import UnusedNames, find_scans
from slicewise.imaging.walk import FileState


def test_names_are_counted_from_two() -> None:
    taken = {"a", "b-2"}
    names = UnusedNames(taken)
    for asked, given in [("a", "a-2"), ("a", "a-3"), ("b", "b"), ("b", "b-3"), ("a-2", "a-2-2")]:
        assert names.of(asked) == given
        taken.add(given)


@dataclass(frozen=True)
class ManySeries(DicomScanner):
    """Finds so many series of the same name, and looks at one file only."""

    count: int = 0

    def find_among(self, path: Path, walked: object) -> SeriesScan:
        assert isinstance(next(iter(walked)), FileState)  # type: ignore[call-overload]
        one = DicomSeries("s1", path, ("1",), (0,), 0, np.eye(4), (2, 3, 1), "uint8")
        return SeriesScan(tuple(replace(one, folder=path) for _ in range(self.count)), ())


def test_fifty_thousand_series_without_patients(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nrrd", "z"):
        (tmp_path / name).touch()
    with linear_time():
        found = find_scans(tmp_path, ManySeries(count=50_000))
    assert list(found.sources)[:4] == ["a", "b", "s1", "s1-2"]
    assert list(found.sources)[-1] == "s1-50000"
