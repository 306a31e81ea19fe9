"""Sandbox: runs functions on untrusted files in child processes with limits of memory and time."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from slicewise.errors import ScanError, Where
from slicewise.imaging.child_processes.child import ChildEndedError, ChildGivenUpError
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import SpawnedChildren
from slicewise.imaging.memory import GIBIBYTE, be_ended_first, is_out_of_memory

DEFAULT_MEMORY_BYTES = GIBIBYTE
DEFAULT_TIMEOUT_SECONDS = 60.0
WARM_IMPORTS = ("numpy", "pydicom.pixels")
"""Imported before the memory limit is set, so that they do not count."""

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
        self._begin()

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
        if self._process_id != os.getpid():
            # The children are those of the process that was forked.
            self._begin()
        with self._free, self._pool.lend() as child:
            end = time.monotonic() + timeout_seconds
            child.send(function, *arguments)
            try:
                result: Result = child.receive(lambda: time.monotonic() > end)
            except ChildGivenUpError as error:
                raise _child_died(where, f"no result after {timeout_seconds:g} s") from error
            except ChildEndedError as error:
                raise _child_died(where, f"a child process that {error}") from error
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                found = f"more than {self._memory_bytes / GIBIBYTE:.3g} GiB of memory in use"
                raise _child_died(where, found) from error
            return result

    def close(self) -> None:
        """Stop the children; a later call starts new ones."""
        if self._process_id == os.getpid():
            self._pool.close()

    def _begin(self) -> None:
        self._process_id = os.getpid()
        self._free = threading.Semaphore(self.children)
        # A fork would copy the locks of threads and all memory of this process.
        self._pool = ChildPool(SpawnedChildren(), _prepare_child, self._memory_bytes)


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
