"""Some work in, the most memory that it held out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

import psutil
import torch

_SECONDS_BETWEEN_LOOKS = 0.02


@dataclass
class WatchedMemory:
    """What was seen.

    Attributes:
        most_gb: of the GPU where one computes, otherwise of the whole process.
    """

    most_gb: float = 0.0


@contextmanager
def watched_memory(device: torch.device) -> Iterator[WatchedMemory]:
    """Watch the memory of the work inside of the block; the result is there at its end."""
    watched = WatchedMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield watched
        watched.most_gb = torch.cuda.max_memory_allocated(device) / 1e9
        return
    done, process = Event(), psutil.Process()

    def look() -> None:
        while not done.wait(_SECONDS_BETWEEN_LOOKS):
            watched.most_gb = max(watched.most_gb, process.memory_info().rss / 1e9)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watched
    finally:
        done.set()
        thread.join()
        watched.most_gb = max(watched.most_gb, process.memory_info().rss / 1e9)
