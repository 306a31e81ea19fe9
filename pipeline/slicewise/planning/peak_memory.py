"""Measures the peak memory of a block of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil
import torch

_SAMPLING_SECONDS = 0.02


@dataclass
class PeakMemory:
    """The peak so far.

    Attributes:
        peak_gb: of the GPU when it computes, otherwise of the whole process.
    """

    peak_gb: float = 0.0


@contextmanager
def peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Sample the memory while the block runs; the peak is known at its end."""
    watched = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield watched
        watched.peak_gb = torch.cuda.max_memory_allocated(device) / 1e9
        return
    done, process = Event(), psutil.Process()

    def sample() -> None:
        while not done.wait(_SAMPLING_SECONDS):
            watched.peak_gb = max(watched.peak_gb, process.memory_info().rss / 1e9)

    thread = Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        done.set()
        thread.join()
        watched.peak_gb = max(watched.peak_gb, process.memory_info().rss / 1e9)
