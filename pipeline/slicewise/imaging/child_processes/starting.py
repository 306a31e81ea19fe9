"""Ways to start child processes that never run the caller's script again, and what prevents it.

A child that multiprocessing starts afresh imports the main module of its parent: a script without
``if __name__ == "__main__":`` would run once more in each of them. What our children call is
importable by name, so they need no main module.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import popen_forkserver, popen_spawn_posix
from multiprocessing.context import (
    ForkServerContext,
    ForkServerProcess,
    SpawnContext,
    SpawnProcess,
)
from multiprocessing.process import BaseProcess
from types import ModuleType

_hiding = threading.Lock()


class _Spawned(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_spawn_posix.Popen:  # noqa: N802
        with _without_main_module():
            return SpawnProcess._Popen(process_obj)


class _Forked(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_forkserver.Popen:  # noqa: N802
        with _without_main_module():
            return ForkServerProcess._Popen(process_obj)


class SpawnedChildren(SpawnContext):
    """Each child is a new interpreter: it shares neither memory nor locks with its parent."""

    Process = _Spawned


class ForkedChildren(ForkServerContext):
    """Children are forked from a clean server process, which imports heavy modules once."""

    Process = _Forked


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the main module for the moment in which multiprocessing asks for its path."""
    with _hiding:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
