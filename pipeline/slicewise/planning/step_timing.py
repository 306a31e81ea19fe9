"""Measures durations, also while other programs use the CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

_LOAD_SECONDS = 0.5
_BUSY_FRACTION = 0.3
"""Above this CPU load of other programs, wall-clock durations are unreliable."""


@dataclass(frozen=True)
class StepTiming:
    """How durations are measured.

    On a CPU that other programs use, threads wait for each other and wall-clock durations are many
    times too long. The CPU time of one thread, divided by the number of threads, is used instead.

    Attributes:
        device: the computing device.
        is_busy: whether other programs use a considerable part of the CPU.
    """

    device: torch.device
    is_busy: bool

    def seconds(self, work: Callable[[], object]) -> float:
        """Duration of one call, in seconds."""
        if self.is_busy:
            with _one_thread() as threads:
                started = time.process_time()
                work()
                return (time.process_time() - started) / threads
        begun = time.perf_counter()
        work()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    def fastest(
        self, work: Callable[[], object], warm_up: int, max_calls: int, limit_seconds: float
    ) -> float:
        """Duration of the fastest of several calls, in seconds.

        Args:
            work: called at least once more than ``warm_up``.
            warm_up: first calls that do not count.
            max_calls: calls at most, including ``warm_up``.
            limit_seconds: time after which no further call starts.
        """
        begun, durations = time.perf_counter(), []
        for _ in range(max_calls):
            durations.append(self.seconds(work))
            if len(durations) > warm_up and time.perf_counter() - begun > limit_seconds:
                break
        return min(durations[warm_up:])


def step_timing_of(device: torch.device) -> StepTiming:
    """Measure the load of the machine for a moment, and decide how to time."""
    if device.type == "cuda":
        return StepTiming(device, is_busy=False)
    used = psutil.cpu_percent(interval=_LOAD_SECONDS, percpu=True)
    ours = [used[core] for core in sorted(os.sched_getaffinity(0)) if core < len(used)]
    return StepTiming(device, is_busy=sum(ours) / max(len(ours), 1) > 100 * _BUSY_FRACTION)


@contextmanager
def _one_thread() -> Iterator[int]:
    """Compute in one thread; yields the usual number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
