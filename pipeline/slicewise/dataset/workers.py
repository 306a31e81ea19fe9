"""Who works on scans: this process, a pool of processes, or the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import psutil

from slicewise.dataset.cluster import Cluster
from slicewise.dataset.worker_processes import in_processes
from slicewise.errors import ScanError, UsageError
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.imaging.memory import MemoryShortageError, within_memory
from slicewise.progress import Progress, tracked

_WORKER_BYTES = 100_000_000
"""Memory of a worker that does nothing yet, libraries that are shared with others left out."""
Item = TypeVar("Item")
Result = TypeVar("Result")
Workers = int | Cluster
"""A number of processes, where 0 is this process; or a cluster."""


def default_workers() -> int:
    """Number of worker processes for this machine."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


def chosen_workers(workers: int | str | None) -> Workers:
    """The workers that were asked for.

    Args:
        workers: number of processes, or address of a cluster; None takes as many processes as
            there are cores.

    Raises:
        UsageError: less than one, more than fit into memory, or see ``Cluster``.
    """
    if workers is None:
        return default_workers()
    if isinstance(workers, str):
        if not workers.lstrip("-").isdecimal():
            return Cluster(workers)
        workers = int(workers)
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
    function: Callable[[Item], Result], items: Iterable[Item], workers: Workers
) -> Iterator[tuple[Item, Result | ScanError]]:
    """Apply a module-level function to each item, and yield results as they complete.

    A ``ScanError`` is the result of its item. An item whose process dies, or that does not fit
    into memory next to others, is tried once more by itself; then its result is a ``ScanError`` as
    well. All other exceptions, such as a full disk, are raised.

    Raises:
        WorkerError: the processes cannot be started, or the cluster cannot be used.
    """
    if workers == 0:
        for item in items:
            yield item, _or_error(function, item)
        return
    alone: list[Item] = []
    for item, result in _each(function, items, workers):
        if isinstance(result, ChildEndedError | MemoryShortageError):
            alone.append(item)
        else:
            yield item, result
    for item, result in _each(function, alone, workers, one_by_one=True):
        yield item, _died(item, result) if isinstance(result, ChildEndedError) else result


def _each(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: Workers,
    *,
    one_by_one: bool = False,
) -> Iterator[tuple[Item, Result | ScanError | ChildEndedError]]:
    work = partial(_or_error, function)
    if isinstance(workers, Cluster):
        return workers.each(work, items, at_once=1 if one_by_one else None)
    return in_processes(work, items, 1 if one_by_one else workers, function.__module__)


def run_on_all_scans(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: Workers,
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


def _or_error(function: Callable[[Item], Result], item: Item) -> Result | ScanError:
    try:
        with within_memory(_name(item)):
            return function(item)
    except ScanError as error:
        return error


def _name(item: object) -> str:
    return str(getattr(item, "name", item))


def _died(item: object, death: ChildEndedError) -> ScanError:
    return ScanError(
        _name(item),
        expected="a worker process that finishes",
        found=f"two that {death}",
        remedy="check the file and that the scan fits into memory, or leave the scan out",
    )
