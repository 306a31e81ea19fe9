"""Runs all benchmarks and writes their figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import UsageError, did_you_mean
from slicewise.imaging.files import write_text
from slicewise.imaging.target import outputs
from slicewise.progress import SILENT, Progress, tracked
from slicewise.workflows.benchmark import devices, folds, network, reading
from slicewise.workflows.benchmark.measurement import Measurement, machine

BENCHMARKS: Mapping[str, tuple[Callable[[], Iterator[Measurement]], int]] = {
    "reading": (reading.run_reading_benchmark, reading.MEASUREMENTS),
    "network": (network.run_network_benchmark, network.MEASUREMENTS),
    "devices": (devices.run_devices_benchmark, devices.MEASUREMENTS),
    "folds": (folds.run_folds_benchmark, folds.MEASUREMENTS),
}
"""Name to the benchmark and its number of figures."""
USUAL = ("reading", "network")


@dataclass(frozen=True)
class BenchmarkOptions:
    """Where the figures go.

    Attributes:
        json: file of the figures; None takes ``bench.json`` in the work folder.
        work: the work folder.
        overwrite: replace a file of others.
        only: one of ``BENCHMARKS``; None runs those of ``USUAL``.
    """

    json: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False
    only: str | None = None


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

    Two processes that train one network, and folds side by side, are measured alone.

    Timings are noisy: compare shares of the rate within one run, not seconds between runs.

    Raises:
        UsageError: no such benchmark.
        OutputError: the file cannot be written.
    """
    names = USUAL if options.only is None else (options.only,)
    if unknown := set(names) - BENCHMARKS.keys():
        raise UsageError(
            f"`only` {options.only}",
            expected=" or ".join(BENCHMARKS),
            found=", ".join(unknown),
            remedy=did_you_mean(names[0], BENCHMARKS) or "give one of them, or leave it out",
        )
    path = options.json or options.work / "bench.json"
    with outputs("bench", {"json": [path]}, overwrite=options.overwrite):
        return _benchmark(names, path, progress)


def _benchmark(names: Iterable[str], path: Path, progress: Progress) -> Benchmark:
    measured: list[Measurement] = []
    for name in names:
        run, count = BENCHMARKS[name]
        measured += tracked(run(), progress, f"measuring {name}", count)
    content = {"machine": machine(), "measurements": [row.as_dict() for row in measured]}
    write_text(path, json.dumps(content, indent=2) + "\n")
    return Benchmark(machine(), tuple(measured), path)
