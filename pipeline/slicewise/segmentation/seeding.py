"""Random numbers of torch that depend on a seed and the step alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's global generator: lend it a seed, give it back afterwards."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def seed_of_step(seed: int, step: int, rank: int = 0) -> int:
    """One seed for torch from two numbers, different for every pair that occurs.

    Args:
        seed: of the configuration.
        step: counted from 0.
        rank: of the process, for what each of several draws for itself.
    """
    return (seed * 1_000_003 + step + (rank << 48)) % 2**63
