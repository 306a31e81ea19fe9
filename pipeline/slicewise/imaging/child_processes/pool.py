"""Child processes that are used again, and replaced when they end."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.util import Finalize

from slicewise.errors import WorkerError, file_problem
from slicewise.imaging.child_processes.child import Child, stop_children

START_PAUSES_SECONDS = (0.2, 2.0)
"""Before each further try to start one: the system may be short of processes for a moment."""


class ChildPool:
    """As many child processes as are lent at once; threads may share a pool.

    ``close`` and the end of this process end them.

    Args:
        context: starts the processes.
        prepare: module-level function that each child calls first.
        arguments: of ``prepare``.
    """

    def __init__(
        self,
        context: ForkServerContext | SpawnContext,
        prepare: Callable[..., None],
        *arguments: object,
    ) -> None:
        self._context = context
        self._prepare, self._arguments = prepare, arguments
        self._idle: list[Child] = []
        self._lent: set[Child] = set()
        # Unlike atexit, this also runs at the end of a child process. When the pool is collected,
        # which may be at any moment, nothing waits: its children end with their pipes.
        Finalize(None, _close_if_there, (weakref.ref(self),), exitpriority=100)

    @contextmanager
    def lend(self) -> Iterator[Child]:
        """A child for the time of a block.

        Raises:
            WorkerError: none can be started.
        """
        child = self.take()
        try:
            yield child
        finally:
            self.give_back(child)

    def take(self) -> Child:
        """A child that is ready; it must be given back.

        Raises:
            WorkerError: none can be started.
        """
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                self._lent.add(child)
                return child
        child = self._start()
        self._lent.add(child)
        return child

    def give_back(self, child: Child) -> None:
        """Keep a child for the next one who takes it; one that is still at work is killed."""
        self._lent.discard(child)
        if child.is_idle and child.is_alive:
            self._idle.append(child)
        else:
            child.kill()

    def close(self) -> None:
        """End all children, those that are lent too; a later ``take`` starts new ones."""
        children = []
        for group in (self._idle, self._lent):
            while group:
                children.append(group.pop())
        stop_children(children)

    def _start(self) -> Child:
        pauses = iter(START_PAUSES_SECONDS)
        while True:
            try:
                return self._start_once()
            except Exception as error:
                pause = next(pauses, None)
                if pause is None:
                    raise _not_started(error) from error
            time.sleep(pause)

    def _start_once(self) -> Child:
        child = Child(self._context, self._prepare, *self._arguments)
        try:
            child.receive()
        except BaseException:
            child.kill()
            raise
        return child


def _close_if_there(pool: weakref.ref[ChildPool]) -> None:
    found = pool()
    if found is not None:
        found.close()


def _not_started(error: Exception) -> WorkerError:
    problem = f" ({file_problem(error)})" if isinstance(error, OSError) else ""
    return WorkerError(
        "child processes",
        expected="child processes that start",
        found=f"{len(START_PAUSES_SECONDS) + 1} tries, each of which ended at once{problem}",
        remedy="free memory, allow more processes (ulimit -u), or use fewer `workers`",
    )
