"""Some work in; out how long this machine takes for it, whatever else it does at the moment."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import torch

_LOOK_SECONDS = 0.5
_BUSY = 0.3
"""Share of the cores that other work may take before durations mean little."""


@dataclass(frozen=True)
class StepTiming:
    """How durations are measured.

    On a CPU that other programs use as well, threads that wait for each other take many times as
    long as they would alone; there, the time that one thread computes is shared out instead.

    Attributes:
        device: that computes.
        is_busy: whether other work takes a good part of the CPU.
    """

    device: torch.device
    is_busy: bool

    def seconds(self, work: Callable[[], object]) -> float:
        """Duration of one call."""
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

    def fastest(self, work: Callable[[], object], warm: int, most: int, limit: float) -> float:
        """Duration of the fastest of several calls.

        Args:
            work: is called at least once more than ``warm``.
            warm: first calls that do not count.
            most: calls altogether.
            limit: seconds after which no further call begins.
        """
        begun, durations = time.perf_counter(), []
        for _ in range(most):
            durations.append(self.seconds(work))
            if len(durations) > warm and time.perf_counter() - begun > limit:
                break
        return min(durations[warm:])


def step_timing_of(device: torch.device) -> StepTiming:
    """Look for a moment at what else the machine does."""
    if device.type == "cuda":
        return StepTiming(device, is_busy=False)
    used = psutil.cpu_percent(interval=_LOOK_SECONDS, percpu=True)
    ours = [used[core] for core in sorted(os.sched_getaffinity(0)) if core < len(used)]
    return StepTiming(device, is_busy=sum(ours) / max(len(ours), 1) > 100 * _BUSY)


@contextmanager
def _one_thread() -> Iterator[int]:
    """Compute in one thread; yields how many there are otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
