"""A process id and its start in, whether that very process still lives out."""

from __future__ import annotations

import os

import psutil

_SAME_START_SECONDS = 2.0
"""Clocks of a start are read with this error."""


def own_start() -> float:
    """When this process started, in seconds since 1970."""
    return float(psutil.Process(os.getpid()).create_time())


def lives(process_id: int, started: float) -> bool:
    """Whether a process of this machine still runs; an id may have been given to a later one."""
    try:
        process = psutil.Process(process_id)
        is_same = abs(process.create_time() - started) <= _SAME_START_SECONDS
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # Somebody else's, so it lives.
        return True
