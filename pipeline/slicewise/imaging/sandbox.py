"""Functions that touch files of unknown origin, run in a child process that may die instead of us.

A module-level function and its arguments go in; its result, or a named error, comes out.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
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

GIBIBYTE = 1024**3
DEFAULT_MEMORY_BYTES = GIBIBYTE
DEFAULT_TIMEOUT_SECONDS = 60.0
# What decoding needs; imported before the memory limit is set, so that it does not count.
WARM_IMPORTS = ("numpy", "pydicom.pixels")
# A child that neither answers nor dies is given up this long after its time limit.
GRACE_SECONDS = 60.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class ChildDiedError(ScanError):
    """The child process that worked on a file ended before it had an answer."""


class Sandbox:
    """Reusable child processes with a limit of memory, and a limit of time for each call.

    They are started by the first call, again after a death, and ended by ``close``, at the
    end of a ``with`` block, or when this process ends. Processes forked from this one start
    children of their own. The memory limit holds on Linux, the time limit everywhere.

    Args:
        memory_bytes: address space that a child may use beyond what its imports need.
        children: calls from as many threads run side by side.
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
        """Run a module-level function in the child.

        Args:
            function: importable by its name; it, its arguments and its result are pickled.
            arguments: what the function is given.
            where: the file or folder that errors name.
            timeout_seconds: how long it may run.

        Raises:
            ChildDiedError: the child was ended by a signal or by one of its limits.
            SlicewiseError: what the function itself raised, unchanged.
        """
        for last_try in (False, True):
            pool = self._running_pool()
            future = pool.schedule(function, args=arguments, timeout=timeout_seconds)
            try:
                return future.result(timeout_seconds + GRACE_SECONDS)
            except (BrokenProcessPool, CancelledError) as error:
                # A child died between two calls, or before it could say which one it took; the
                # thread that noticed it first has closed the pool for all of them.
                self.close()
                if last_try:
                    raise _child_did_not_start(where) from error
            except ProcessExpired as error:
                raise _child_died(where, _way_of_dying(error.exitcode)) from error
            except MemoryError as error:
                found = f"a need of more than {self._memory_bytes / GIBIBYTE:.3g} GiB of memory"
                raise _child_died(where, found) from error
            except FutureTimeoutError as error:
                if not future.done():
                    self.close()
                raise _child_died(where, f"no end after {timeout_seconds:g} s") from error
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """End the child; a later call starts a new one."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._process_id == os.getpid():
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()

    def _running_pool(self) -> ProcessPool:
        self._forget_what_a_fork_copied()
        with self._lock:
            if self._pool is None:
                self._pool = ProcessPool(
                    max_workers=self.children,
                    initializer=_prepare_child,
                    initargs=(self._memory_bytes,),
                    # A fork would copy the threads' locks and all memory of this process.
                    context=multiprocessing.get_context("spawn"),
                )
                # Unlike atexit, this also runs when a worker of another pool ends.
                Finalize(self, self.close, exitpriority=100)
            return self._pool

    def _forget_what_a_fork_copied(self) -> None:
        if self._process_id != os.getpid():
            self._process_id = os.getpid()
            self._lock = threading.Lock()
            self._pool = None


@cache
def shared_sandbox(children: int = 1) -> Sandbox:
    """The sandbox that all readers of this process use unless they are given another one."""
    return Sandbox(children=children)


def _prepare_child(memory_bytes: int) -> None:
    _silence()
    for name in WARM_IMPORTS:
        importlib.import_module(name)
    if sys.platform != "win32":
        import resource

        # A dying decoder must not leave its memory, and so the patient's pixels, on the disk.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used_bytes = _address_space_bytes()
        if used_bytes is not None:
            limit_bytes = used_bytes + memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))


def _silence() -> None:
    """Send what decoders print to nowhere: their findings arrive as named errors."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)


def _address_space_bytes() -> int | None:
    """Address space in use now, or None where the system does not tell."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _way_of_dying(exit_code: int) -> str:
    if exit_code >= 0:
        return f"a child process that ended with status {exit_code}"
    return f"a child process that died of {signal.Signals(-exit_code).name}"


def _child_did_not_start(where: Where) -> ChildDiedError:
    return ChildDiedError(
        where,
        expected="a child process that reads the file",
        found="one that ended before it could say what it did",
        remedy="a script of your own must guard its calls with if __name__ == '__main__'; "
        "otherwise the file is damaged or malicious",
    )


def _child_died(where: Where, found: str) -> ChildDiedError:
    log.debug("sandbox: %s", found)
    return ChildDiedError(
        where,
        expected="a file that can be read within the limits of memory and time",
        found=found,
        remedy="the file is damaged or malicious; export it again, or remove it",
    )
