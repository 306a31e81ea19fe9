"""Measures a training by two processes, relative to the same training by one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import UsageError
from slicewise.segmentation.device import torch_threads
from slicewise.segmentation.process_group import ProcessGroup, open_group
from slicewise.segmentation.training import Training

PROCESSES = 2
TURNS = 5
STEPS = 2
"""Of each turn."""


def measure_devices(alone: Training, cases: Sequence[CachedCase]) -> float | None:
    """Speed of two processes with a GPU or half of the threads each, as a share of that of one.

    Args:
        alone: of one process.
        cases: that it learns from.

    Returns:
        The median over turns that both have, because a machine's speed drifts; None on a machine
        with a single core or GPU.
    """
    config, threads = alone.config, torch.get_num_threads()
    try:
        with open_group(PROCESSES, config.training) as group:
            group.call(_take_part, config, cases)
            together = Training(config, cases, (), "bench", group=group)
            shares = []
            for turn in range(TURNS + 1):
                with torch_threads(threads):
                    seconds = _seconds(alone)
                share = seconds / _seconds(together)
                # The first turn warms up.
                shares += [share] if turn else []
    except UsageError:
        return None
    return statistics.median(shares)


def _take_part(group: ProcessGroup, config: Config, cases: Sequence[CachedCase]) -> None:
    training = Training(config, cases, (), "bench", group=group)
    for _ in range(TURNS + 1):
        _seconds(training)


def _seconds(training: Training) -> float:
    started = time.perf_counter()
    for _ in range(STEPS):
        training.step()
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
