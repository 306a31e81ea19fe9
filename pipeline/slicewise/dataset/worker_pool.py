"""Worker processes for independent work on scans."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from multiprocessing.util import Finalize
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from slicewise.errors import ScanError, UsageError
from slicewise.imaging.child_processes import ForkedChildren
from slicewise.progress import Progress, tracked

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Number of worker processes for this machine."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


def chosen_workers(workers: int | None) -> int:
    """The number of worker processes that was asked for; None takes as many as there are cores.

    Raises:
        UsageError: less than one.
    """
    if workers is None:
        return default_workers()
    if workers < 1:
        raise UsageError(
            "`workers`",
            expected="at least 1, or None for as many as there are cores",
            found=str(workers),
            remedy="correct the number",
        )
    return workers


def run_on_scans(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | ScanError]]:
    """Apply a module-level function to each item, and yield results as they complete.

    ``workers`` is the number of processes; with 0, the work is done in this process.

    A ``ScanError`` is the result of its item. An item whose process dies is tried once more, then
    its result is a ``ScanError`` as well. All other exceptions, such as a full disk, are raised.
    """
    items = list(items)
    if not items:
        return
    if not workers:
        yield from _in_this_process(function, items)
        return
    # Workers are forked from a clean server process: they inherit no threads or locks, and modules
    # are imported only once.
    context = ForkedChildren()
    context.set_forkserver_preload([function.__module__])
    with ProcessPool(
        max_workers=min(workers, len(items)),
        initializer=_prepare_worker,
        initargs=(function.__module__,),
        context=context,
    ) as pool:
        waiting: dict[Future[Result], Item] = {
            pool.schedule(function, args=(item,)): item for item in items
        }
        again: dict[Future[Result], Item] = {}
        try:
            for future in as_completed(waiting):
                item = waiting[future]
                if isinstance(future.exception(), ProcessExpired):
                    again[pool.schedule(function, args=(item,))] = item
                else:
                    outcome = _result(future, item)
                    yield item, outcome
            for future in as_completed(again):
                outcome = _result(future, again[future])
                yield again[future], outcome
        except BaseException:
            # A caller that stops early does not wait for the rest.
            pool.stop()  # type: ignore[no-untyped-call]
            raise


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


def _in_this_process(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | ScanError]]:
    for item in items:
        try:
            result: Result | ScanError = function(item)
        except ScanError as error:
            result = error
        yield item, result


def _result(future: Future[Result], item: object) -> Result | ScanError:
    try:
        return future.result()
    except ScanError as error:
        return error
    except ProcessExpired as death:
        return _died(item, death)


def _prepare_worker(module: str) -> None:
    # The server process may have been started for another function.
    importlib.import_module(module)
    # Functions without torch must not wait for its import.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    # A worker that exits may have to stop a child process. SIGTERM of the pool must not interrupt
    # that; a worker that hangs is killed later.
    Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=1000)


def _died(item: object, death: ProcessExpired) -> ScanError:
    return ScanError(
        str(getattr(item, "name", item)),
        expected="a worker process that finishes",
        found=f"a process that died twice (exit code {death.exitcode})",
        remedy="check that the scan fits into memory, or use fewer `workers`",
    )
