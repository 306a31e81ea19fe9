"""Benchmark of a training by two processes, against the same training by one."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation.device import choose_device, torch_threads
from slicewise.segmentation.process_group import ProcessGroup, open_group
from slicewise.segmentation.training import Training
from slicewise.workflows.benchmark.measurement import Measurement
from slicewise.workflows.benchmark.network import config_for, prepared_cases

PROCESSES = 2
SCAN_COUNT = 20
TURNS = 7
STEPS = 3
"""Of each turn."""
MEASUREMENTS = 3
"""Number of results."""


def run_devices_benchmark() -> Iterator[Measurement]:
    """Measure in turns, because the speed of a machine drifts; yields ``MEASUREMENTS`` results.

    One process has all threads, or one GPU; two have half of the threads, or a GPU each.

    Raises:
        UsageError: there is a single core or GPU.
    """
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        cases, _ = prepared_cases(Path(folder), SCAN_COUNT)
        config = config_for(Path(folder), choose_device("auto"))
        with open_group(PROCESSES, config.training) as group:
            group.call(_take_part, config, cases, (TURNS + 1) * STEPS)
            alone = Training(config, cases, (), "alone")
            together = Training(config, cases, (), "together", group=group)
            pairs = []
            for _ in range(TURNS + 1):
                with torch_threads(threads):
                    first = _step_seconds(alone)
                pairs.append((first, _step_seconds(together)))
    # The first turn warms up.
    del pairs[0]
    for name, seconds in zip(("1 process", "2 processes"), zip(*pairs, strict=True), strict=True):
        speed = config.training.batch_size / median(seconds)
        yield Measurement(f"training by {name}", speed, "slices/s")
    ratios = [one / two for one, two in pairs]
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    yield Measurement(f"ratio, median of {shown}", median(ratios), "x")


def _take_part(
    group: ProcessGroup, config: Config, cases: Sequence[CachedCase], steps: int
) -> None:
    together = Training(config, cases, (), "together", group=group)
    for _ in range(steps):
        together.step()


def _step_seconds(training: Training) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        training.step()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / STEPS
