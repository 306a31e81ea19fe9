"""Ways to start child processes that never run the caller's script again, and what prevents it.

A child that multiprocessing starts afresh imports the main module of its parent: a script without
``if __name__ == "__main__":`` would run once more in each of them. What our children call is
importable by name, so they need no main module.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import (
    forkserver,
    popen_forkserver,
    popen_spawn_posix,
    resource_tracker,
)
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
        with _without_main_module(), _holding_interrupts():
            return SpawnProcess._Popen(process_obj)


class _Forked(ForkServerProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_forkserver.Popen:  # noqa: N802
        with _without_main_module(), _holding_interrupts():
            return ForkServerProcess._Popen(process_obj)


class SpawnedChildren(SpawnContext):
    """Each child is a new interpreter: it shares neither memory nor locks with its parent."""

    Process = _Spawned


class ForkedChildren(ForkServerContext):
    """Children are forked from a clean server process, which imports heavy modules once."""

    Process = _Forked

    def start_server(self) -> None:
        """Start the server process, whose imports begin in the background."""
        with _holding_interrupts():
            forkserver.ensure_running()


@contextmanager
def _holding_interrupts() -> Iterator[None]:
    """Let children start with Ctrl-C held back, which reaches all processes of a terminal.

    They let it pass as soon as they ignore it; until then it would end their imports.
    """
    # When it is started, multiprocessing lets the signal pass again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
