"""Runs all benchmarks and writes their figures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from slicewise.imaging.files import write_text
from slicewise.imaging.target import outputs
from slicewise.progress import SILENT, Progress, tracked
from slicewise.workflows.benchmark import network, reading
from slicewise.workflows.benchmark.measurement import Measurement, machine


@dataclass(frozen=True)
class BenchmarkOptions:
    """Where the figures go.

    Attributes:
        json: file of the figures; None takes ``bench.json`` in the work folder.
        work: the work folder.
        overwrite: replace a file of others.
    """

    json: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class Benchmark:
    """What was measured.

    Attributes:
        machine: processor, threads, version of torch and date.
        measurements: the figures.
        json: file that holds them.
    """

    machine: str
    measurements: tuple[Measurement, ...]
    json: Path


def benchmark(options: BenchmarkOptions, progress: Progress = SILENT) -> Benchmark:
    """Measure reading, preprocessing, training, inference and the matrix-multiply rate.

    Timings are noisy: compare shares of the rate within one run, not seconds between runs.

    Raises:
        OutputError: the file cannot be written.
    """
    path = options.json or options.work / "bench.json"
    with outputs("bench", {"json": [path]}, overwrite=options.overwrite):
        return _benchmark(path, progress)


def _benchmark(path: Path, progress: Progress) -> Benchmark:
    of_reading, of_network = reading.run_reading_benchmark(), network.run_network_benchmark()
    measured = [
        *tracked(of_reading, progress, "reading", reading.MEASUREMENTS),
        *tracked(of_network, progress, "measuring", network.MEASUREMENTS),
    ]
    content = {"machine": machine(), "measurements": [row.as_dict() for row in measured]}
    write_text(path, json.dumps(content, indent=2) + "\n")
    return Benchmark(machine(), tuple(measured), path)
