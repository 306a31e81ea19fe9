"""Worker processes for independent work on scans."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from multiprocessing.connection import wait
from typing import Any, TypeVar

import psutil

from slicewise.errors import ScanError, UsageError
from slicewise.imaging.child_processes.child import Child, ChildEndedError
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import ForkedChildren
from slicewise.imaging.memory import MemoryShortageError, be_ended_first, within_memory
from slicewise.progress import Progress, tracked

_WORKER_BYTES = 100_000_000
"""Memory of a worker that does nothing yet, libraries that are shared with others left out."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Number of worker processes for this machine."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


def chosen_workers(workers: int | None) -> int:
    """The number of worker processes that was asked for; None takes as many as there are cores.

    Raises:
        UsageError: less than one, or more than fit into memory.
    """
    if workers is None:
        return default_workers()
    needed, available = workers * _WORKER_BYTES, psutil.virtual_memory().total
    if needed > available:
        raise UsageError(
            f"`workers` {workers}",
            expected=f"worker processes that fit into the memory of this machine, "
            f"{available / 1e9:,.1f} GB",
            found=f"{workers:,} processes, which need at least {needed / 1e9:,.0f} GB",
            remedy="lower the number, or leave it out: there is one worker for each core then",
        )
    if workers < 1:
        raise UsageError(
            "`workers`",
            expected="at least 1 worker; without the option there is one for each core",
            found=f"{workers} workers",
            remedy="correct the number",
        )
    return workers


def run_on_scans(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | ScanError]]:
    """Apply a module-level function to each item, and yield results as they complete.

    ``workers`` is the number of processes; with 0, the work is done in this process.

    A ``ScanError`` is the result of its item. An item whose process dies, or that does not fit
    into memory next to others, is tried once more by itself; then its result is a ``ScanError`` as
    well. All other exceptions, such as a full disk, are raised.

    Raises:
        WorkerError: the processes cannot be started.
    """
    items = list(items)
    if not workers:
        for item in items:
            yield item, _or_error(function, item)
        return
    alone: list[Item] = []
    for item, result in _in_processes(function, items, workers):
        if isinstance(result, ChildEndedError | MemoryShortageError):
            alone.append(item)
        else:
            yield item, result
    for item, result in _in_processes(function, alone, 1):
        yield item, _died(item, result) if isinstance(result, ChildEndedError) else result


def run_on_all_scans(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress,
    description: str,
) -> Iterator[tuple[Item, Result]]:
    """Like ``run_on_scans``, where no scan may be left out; counts the scans.

    Raises:
        ScanError: of the first item that fails.
    """
    done = run_on_scans(function, items, workers)
    for item, result in tracked(done, progress, description, len(items)):
        if isinstance(result, ScanError):
            raise result
        yield item, result


def _in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | ScanError | ChildEndedError]]:
    """Results of all items, as they complete; processes that die are replaced."""
    # Workers are forked from a clean server process: they inherit no threads or locks, and modules
    # are imported only once.
    context = ForkedChildren()
    context.set_forkserver_preload([__name__, function.__module__])
    waiting = iter(items)
    at_work: dict[object, tuple[Child, Item]] = {}
    done: list[tuple[Item, Result | ScanError | ChildEndedError]] = []
    # A caller that stops early does not wait for the rest.
    with ChildPool(context, _prepare_worker, function.__module__) as pool:
        while True:
            for item in islice(waiting, workers - len(at_work)):
                worker = pool.take()
                worker.send(_or_error, function, item)
                at_work[worker.connection] = worker, item
            # While the caller is busy with these, the workers are busy, too.
            yield from done
            if not at_work:
                return
            ready = wait([worker.connection for worker, _ in at_work.values()])
            answered = [at_work.pop(connection) for connection in ready]
            done = [(item, _result(worker)) for worker, item in answered]
            for worker, _ in answered:
                pool.give_back(worker)


def _result(worker: Child) -> Any:
    try:
        return worker.receive()
    except ChildEndedError as death:
        return death


def _or_error(function: Callable[[Item], Result], item: Item) -> Result | ScanError:
    try:
        with within_memory(_name(item)):
            return function(item)
    except ScanError as error:
        return error


def _prepare_worker(module: str) -> None:
    # The server process may have been started for another function.
    importlib.import_module(module)
    be_ended_first()
    # Functions without torch must not wait for its import.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _name(item: object) -> str:
    return str(getattr(item, "name", item))


def _died(item: object, death: ChildEndedError) -> ScanError:
    return ScanError(
        _name(item),
        expected="a worker process that finishes",
        found=f"two that {death}",
        remedy="check the file and that the scan fits into memory, or leave the scan out",
    )
