"""Benchmark of reading DICOM, in comparison with pydicom alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pydicom

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Volume
from slicewise.workflows.benchmark.measurement import Measurement

SLICES = 200
SIDE = 256
TURNS = 9
MEASUREMENTS = 4
"""Number of results."""


class InProcess(Sandbox):
    """Runs functions in the calling process; only for a comparison with trusted files."""

    def call(self, function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        """Run a function in this process."""
        return function(*arguments)


def run_reading_benchmark() -> Iterator[Measurement]:
    """Measure in turns, because the speed of a machine drifts; yields ``MEASUREMENTS`` results.

    The last one is the time in a running child process relative to that in this process (median
    over turns): 100 % means no overhead, and noise may lead to less.
    """
    with tempfile.TemporaryDirectory() as folder, Sandbox() as child:
        series, index = Path(folder) / "series", Path(folder) / "index.sqlite"
        write_dicom_series(_volume(), series, "benchmark")
        _read(series, child)
        DicomScanner(index=index, sandbox=child).find(series)
        turns = [_turn(series, child, index) for _ in range(TURNS)]
    alone, scan, again, ratio = (median(figures) for figures in zip(*turns, strict=True))
    yield Measurement("DICOM headers, pydicom alone, one core", SLICES / alone, "files/s")
    yield Measurement("DICOM headers, one child", SLICES / scan, "files/s")
    yield Measurement("DICOM headers, unchanged since the last scan", SLICES / again, "files/s")
    yield Measurement(f"{SLICES} slices through a child, of the time without", 100 * ratio, "%")


def _turn(folder: Path, child: Sandbox, index: Path) -> tuple[float, float, float, float]:
    alone = _seconds(lambda: [_header(path) for path in folder.iterdir()])
    scan = _seconds(lambda: DicomScanner(sandbox=child).find(folder))
    again = _seconds(lambda: DicomScanner(index=index, sandbox=child).find(folder))
    here = _seconds(lambda: _read(folder, InProcess()))
    there = _seconds(lambda: _read(folder, child))
    return alone, scan, again, there / here


def _read(folder: Path, sandbox: Sandbox) -> Volume:
    series = DicomScanner(sandbox=sandbox).find(folder).series[0]
    return read_series(series, sandbox)


def _header(path: Path) -> pydicom.FileDataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _volume() -> Volume:
    voxels = np.random.default_rng(0).integers(0, 4096, (SIDE, SIDE, SLICES)).astype(np.uint16)
    return Volume(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]), "benchmark")
