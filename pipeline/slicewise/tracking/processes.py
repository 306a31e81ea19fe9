"""Tells whether a process is still running, although process ids are reused."""

from __future__ import annotations

import os

import psutil

_SAME_START_SECONDS = 2.0
"""Precision with which the start of a process is known."""


def own_start() -> float:
    """Start of this process in seconds since 1970."""
    return float(psutil.Process(os.getpid()).create_time())


def is_running(process_id: int, started: float) -> bool:
    """Whether a process of this machine is still running.

    Args:
        process_id: its id.
        started: its start in seconds since 1970; a later process may have the same id.
    """
    try:
        process = psutil.Process(process_id)
        is_same = abs(process.create_time() - started) <= _SAME_START_SECONDS
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # It belongs to another user, so it exists.
        return True
