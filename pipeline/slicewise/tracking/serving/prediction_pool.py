"""Child processes that keep a model loaded; the work of each can be ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import ForkedChildren

Result = TypeVar("Result")


class PredictionPool:
    """Reusable child processes, which are replaced when they end.

    Args:
        children: calls that run at once.
        prepare: module-level function that each child calls first.
        arguments: of ``prepare``.
        preload: modules that are imported once for all children.
    """

    def __init__(
        self,
        children: int,
        prepare: Callable[..., None],
        arguments: Sequence[Any] = (),
        preload: Sequence[str] = (),
    ) -> None:
        context = ForkedChildren()
        context.set_forkserver_preload([prepare.__module__, *preload])
        context.start_server()
        self._pool = ChildPool(context, prepare, *arguments)
        self._threads = ThreadPoolExecutor(children)

    def start(self) -> None:
        """Start a child, and wait until it is ready.

        Raises:
            WorkerError: no child can be started.
        """
        with self._pool.lend():
            pass

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a module-level function in a child; cancelling this ends the child.

        Raises:
            ChildEndedError: a signal or a fault ended the child.
            WorkerError: no child can be started.
            Exception: what the function raises.
        """
        cancelled = threading.Event()

        def call() -> Result:
            with self._pool.lend() as child:
                child.send(function, *arguments)
                result: Result = child.receive(cancelled.is_set)
                return result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        finally:
            cancelled.set()

    def close(self) -> None:
        """End all children."""
        self._pool.close()
        self._threads.shutdown()
