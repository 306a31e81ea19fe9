"""Sandbox: runs functions on untrusted files in child processes with limits of memory and time."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing.util import Finalize
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from pebble import ProcessExpired, ProcessPool

from slicewise.errors import ScanError, Where
from slicewise.imaging.child_processes import (
    START_PAUSES_SECONDS,
    SpawnedChildren,
    how_it_ended,
    not_started,
)
from slicewise.imaging.memory import GIBIBYTE, be_ended_first, is_out_of_memory

DEFAULT_MEMORY_BYTES = GIBIBYTE
DEFAULT_TIMEOUT_SECONDS = 60.0
WARM_IMPORTS = ("numpy", "pydicom.pixels")
"""Imported before the memory limit is set, so that they do not count."""
GRACE_SECONDS = 60.0
"""A child that does not respond is abandoned this long after its time limit."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class _NotStartedError(Exception):
    """The children ended before they took the call."""


class ChildDiedError(ScanError):
    """The child process that read a file died before it returned a result."""


class Sandbox:
    """Reusable child processes with a memory limit, and a time limit for each call.

    The first call starts them, and they are restarted when they die. ``close``, the end of a
    ``with`` block and the end of this process stop them. Forked processes start their own
    children. The memory limit is effective on Linux only.

    Args:
        memory_bytes: address space of each child in addition to that of its imports.
        children: number of calls that run in parallel, each from its own thread.
    """

    def __init__(self, memory_bytes: int = DEFAULT_MEMORY_BYTES, children: int = 1) -> None:
        self._memory_bytes = memory_bytes
        self.children = children
        self._pool: ProcessPool | None = None
        self._lock = threading.Lock()
        self._process_id = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def call(
        self,
        function: Callable[..., Result],
        *arguments: object,
        where: Where,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> Result:
        """Run a module-level function in a child process.

        Args:
            function: importable by name; its arguments and its result are pickled.
            arguments: of the function.
            where: file or folder for error messages.
            timeout_seconds: time limit.

        Raises:
            ChildDiedError: a signal or a limit ended the child.
            WorkerError: no child can be started.
            SlicewiseError: raised by the function itself.
        """
        for pause in (*START_PAUSES_SECONDS, None):
            try:
                return self._call_once(function, arguments, where, timeout_seconds)
            except _NotStartedError as error:
                # The first thread to notice has closed the pool for all threads.
                self.close()
                if pause is None:
                    raise not_started(error) from error
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _call_once(
        self,
        function: Callable[..., Result],
        arguments: tuple[object, ...],
        where: Where,
        timeout_seconds: float,
    ) -> Result:
        try:
            pool = self._running_pool()
            future = pool.schedule(function, args=arguments, timeout=timeout_seconds)
        except (BrokenProcessPool, RuntimeError, OSError) as error:
            raise _NotStartedError from error
        try:
            return future.result(timeout_seconds + GRACE_SECONDS)
        except (BrokenProcessPool, CancelledError) as error:
            # A child died between two calls, or before it had taken one.
            raise _NotStartedError from error
        except ProcessExpired as error:
            found = f"a child process that {how_it_ended(error.exitcode)}"
            raise _child_died(where, found) from error
        except FutureTimeoutError as error:
            if not future.done():
                self.close()
            raise _child_died(where, f"no result after {timeout_seconds:g} s") from error
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            found = f"more than {self._memory_bytes / GIBIBYTE:.3g} GiB of memory in use"
            raise _child_died(where, found) from error

    def close(self) -> None:
        """Stop the children; a later call starts new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._process_id == os.getpid():
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _running_pool(self) -> ProcessPool:
        self._reset_after_fork()
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self.children,
                    initializer=_prepare_child,
                    initargs=(self._memory_bytes,),
                    # A fork would copy the locks of threads and all memory of this process.
                    context=SpawnedChildren(),
                )
                # Unlike atexit, this also runs when a worker of another pool ends.
                Finalize(self, self.close, exitpriority=100)
            return self._pool

    def _reset_after_fork(self) -> None:
        if self._process_id != os.getpid():
            self._process_id = os.getpid()
            self._lock = threading.Lock()
            self._pool = None


@cache
def shared_sandbox(children: int = 1) -> Sandbox:
    """The default sandbox of this process."""
    return Sandbox(children=children)


def _prepare_child(memory_bytes: int) -> None:
    _silence()
    be_ended_first()
    for name in WARM_IMPORTS:
        importlib.import_module(name)
    if sys.platform != "win32":
        import resource

        # A core dump would leave pixels of the patient on the disk.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used_bytes = _address_space_bytes()
        if used_bytes is not None:
            limit_bytes = used_bytes + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _silence() -> None:
    """Discard the output of decoders; problems are reported as named errors."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _address_space_bytes() -> int | None:
    """Address space in use, or None where the system does not report it."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _child_died(where: Where, found: str) -> ChildDiedError:
    log.debug("sandbox: %s", found)
    return ChildDiedError(
        where,
        expected="a file that can be read within the limits of memory and time",
        found=found,
        remedy="the file is damaged or malicious; export it again, or remove it",
    )
