"""Child processes that keep a model loaded; the work of each can be ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.forkserver import ensure_running
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessPool

from slicewise.imaging.child_processes import (
    START_PAUSES_SECONDS,
    ForkedChildren,
    how_it_ended,
    not_started,
)

Result = TypeVar("Result")


class ChildEndedError(Exception):
    """The child process ended before it returned a result; the message is a verb phrase."""


class _PoolBrokenError(Exception):
    """The children ended while they started or between two calls."""


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
        self._children = children
        self._prepare, self._arguments = prepare, tuple(arguments)
        self._context = ForkedChildren()
        self._context.set_forkserver_preload([prepare.__module__, *preload])
        # Imports begin in the background.
        ensure_running()
        self._pool: ProcessPool | None = None

    def start(self) -> None:
        """Start the children, and wait until one of them is ready.

        Raises:
            WorkerError: no child can be started.
        """
        asyncio.run(self.run(_nothing))

    async def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a module-level function in a child; cancelling this ends the child.

        Raises:
            ChildEndedError: a signal or a fault ended the child.
            WorkerError: no child can be started.
            Exception: what the function raises.
        """
        for pause in (*START_PAUSES_SECONDS, None):
            pool = self._running_pool()
            try:
                return await self._result(pool, function, arguments)
            except _PoolBrokenError as error:
                # Another call may have noticed before.
                if self._pool is pool:
                    self._pool = None
                    await asyncio.to_thread(_stop, pool)
                if pause is None:
                    raise not_started(error) from error
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """End all children."""
        pool, self._pool = self._pool, None
        if pool is not None:
            _stop(pool)

    async def _result(
        self, pool: ProcessPool, function: Callable[..., Result], arguments: tuple[Any, ...]
    ) -> Result:
        try:
            # The first call starts the children, which takes a moment.
            await asyncio.to_thread(_start, pool)
            future = pool.schedule(function, args=arguments)
        except (BrokenProcessPool, RuntimeError, OSError) as error:
            raise _PoolBrokenError from error
        try:
            return await asyncio.wrap_future(future)
        except ProcessExpired as error:
            raise ChildEndedError(how_it_ended(error.exitcode)) from error
        except BrokenProcessPool as error:
            raise _PoolBrokenError from error

    def _running_pool(self) -> ProcessPool:
        if self._pool is None:
            self._pool = ProcessPool(
                max_workers=self._children,
                initializer=self._prepare,
                initargs=self._arguments,
                context=self._context,
            )
        return self._pool


def _nothing() -> None:
    pass


def _start(pool: ProcessPool) -> bool:
    return bool(pool.active)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
