"""Sandbox: runs functions on untrusted files in child processes with limits of memory and time."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
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
from slicewise.imaging.child_processes import SpawnedChildren

GIBIBYTE = 1024**3
DEFAULT_MEMORY_BYTES = GIBIBYTE
DEFAULT_TIMEOUT_SECONDS = 60.0
WARM_IMPORTS = ("numpy", "pydicom.pixels")
"""Imported before the memory limit is set, so that they do not count."""
GRACE_SECONDS = 60.0
"""A child that does not respond is abandoned this long after its time limit."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


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
            SlicewiseError: raised by the function itself.
        """
        for last_try in (False, True):
            pool = self._running_pool()
            future = pool.schedule(function, args=arguments, timeout=timeout_seconds)
            try:
                return future.result(timeout_seconds + GRACE_SECONDS)
            except (BrokenProcessPool, CancelledError) as error:
                # A child died between two calls, or before it had taken one; the first thread to
                # notice has closed the pool for all threads.
                self.close()
                if last_try:
                    raise _child_did_not_start(where) from error
            except ProcessExpired as error:
                raise _child_died(where, _cause_of_death(error.exitcode)) from error
            except MemoryError as error:
                found = f"more than {self._memory_bytes / GIBIBYTE:.3g} GiB of memory in use"
                raise _child_died(where, found) from error
            except FutureTimeoutError as error:
                if not future.done():
                    self.close()
                raise _child_died(where, f"no result after {timeout_seconds:g} s") from error
        raise AssertionError("the last try returns or raises")

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


def _cause_of_death(exit_code: int) -> str:
    if exit_code >= 0:
        return f"a child process that ended with status {exit_code}"
    return f"a child process that died of {signal.Signals(-exit_code).name}"


def _child_did_not_start(where: Where) -> ChildDiedError:
    return ChildDiedError(
        where,
        expected="a running child process",
        found="a child process that ended at its start",
        remedy="guard the main code of your script with if __name__ == '__main__'; otherwise the "
        "file is damaged or malicious",
    )


def _child_died(where: Where, found: str) -> ChildDiedError:
    log.debug("sandbox: %s", found)
    return ChildDiedError(
        where,
        expected="a file that can be read within the limits of memory and time",
        found=found,
        remedy="the file is damaged or malicious; export it again, or remove it",
    )
