"""Worker processes for independent work on scans."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.util import Finalize
from typing import Any, TypeVar

import psutil
from pebble import ProcessExpired, ProcessPool

from slicewise.errors import ScanError, UsageError
from slicewise.imaging.child_processes import (
    START_PAUSES_SECONDS,
    ForkedChildren,
    how_it_ended,
    not_started,
)
from slicewise.imaging.memory import MemoryShortageError, be_ended_first, within_memory
from slicewise.progress import Progress, tracked

_WORKER_BYTES = 100_000_000
"""Memory of a worker that does nothing yet, libraries that are shared with others left out."""
Item = TypeVar("Item")
Result = TypeVar("Result")

_SCHEDULED_PER_WORKER = 2
_QUIET_SECONDS = 5.0
"""Without a result, before it is asked whether tasks were lost."""
_ANSWER_SECONDS = 120.0
"""For processes to start, which import much, and to answer."""


class _PoolBrokenError(Exception):
    """The processes of a pool ended while they started, or could not be started."""


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
        if isinstance(result, ProcessExpired | MemoryShortageError):
            alone.append(item)
        else:
            yield item, result
    for item, result in _in_processes(function, alone, 1):
        yield item, _died(item, result) if isinstance(result, ProcessExpired) else result


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
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | ScanError | ProcessExpired]]:
    """Results of all items; pools whose processes die at their start are replaced."""
    left = dict(enumerate(items))
    pauses = iter(START_PAUSES_SECONDS)
    while left:
        try:
            for number, result in _in_pool(function, left, min(workers, len(left))):
                pauses = iter(START_PAUSES_SECONDS)
                yield left.pop(number), result
        except _PoolBrokenError as error:
            pause = next(pauses, None)
            if pause is None:
                raise not_started(error) from error
            time.sleep(pause)


def _in_pool(
    function: Callable[[Item], Result], items: Mapping[int, Item], workers: int
) -> Iterator[tuple[int, Result | ScanError | ProcessExpired]]:
    # Workers are forked from a clean server process: they inherit no threads or locks, and modules
    # are imported only once.
    context = ForkedChildren()
    context.set_forkserver_preload([function.__module__])
    with ProcessPool(
        max_workers=workers,
        initializer=_prepare_worker,
        initargs=(function.__module__,),
        context=context,
    ) as pool:
        try:
            queue = iter(tuple(items.items()))
            waiting: dict[Future[Result | ScanError], int] = {}
            while True:
                # Pebble forgets tasks that it has not sent when its processes cannot be started.
                for number, item in islice(queue, _SCHEDULED_PER_WORKER * workers - len(waiting)):
                    waiting[_scheduled(pool, function, item)] = number
                if not waiting:
                    return
                done = wait(waiting, _QUIET_SECONDS, return_when=FIRST_COMPLETED).done
                if not done:
                    _require_none_lost(pool, waiting)
                for future in done:
                    yield waiting.pop(future), _result(future)
        except BaseException:
            # A caller that stops early does not wait for the rest.
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def _require_none_lost(pool: ProcessPool, waiting: Collection[Future[Any]]) -> None:
    """Notice tasks that a process took along when it died before it had said so.

    Tasks are received in order: one that is received after them proves that they are gone.
    """
    if _is_working(pool):
        return
    probe = _scheduled(pool, _nothing, None)
    # A process that died while it received a task has locked the others out: none answers.
    wait([probe, *waiting], _ANSWER_SECONDS, return_when=FIRST_COMPLETED)
    if not _is_working(pool) and not any(future.done() for future in waiting):
        raise _PoolBrokenError


def _is_working(pool: ProcessPool) -> bool:
    """Whether a process that lives has begun a task.

    Pebble takes a task for running for ever if it notices the death of its process first.
    """
    manager = pool._pool_manager
    living = set(manager.worker_manager.workers)
    return any(task.worker_id in living for task in list(manager.task_manager.tasks.values()))


def _nothing(_: None) -> None:
    """Tells that a process receives tasks."""


def _scheduled(
    pool: ProcessPool, function: Callable[[Item], Result], item: Item
) -> Future[Result | ScanError]:
    try:
        return pool.schedule(_or_error, args=(function, item))
    except (BrokenProcessPool, RuntimeError, OSError) as error:
        raise _PoolBrokenError from error


def _result(future: Future[Any]) -> Any:
    try:
        return future.result()
    except ProcessExpired as death:
        return death
    except BrokenProcessPool as error:
        raise _PoolBrokenError from error


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
    # A worker that exits may have to stop a child process. SIGTERM of the pool must not interrupt
    # that; a worker that hangs is killed later.
    Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=1000)


def _name(item: object) -> str:
    return str(getattr(item, "name", item))


def _died(item: object, death: ProcessExpired) -> ScanError:
    return ScanError(
        _name(item),
        expected="a worker process that finishes",
        found=f"two that {how_it_ended(death.exitcode)}",
        remedy="check the file and that the scan fits into memory, or leave the scan out",
    )
