"""Independent per-scan work in, results in the order of completion out, in worker processes."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from multiprocessing.util import Finalize
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from slicewise.errors import ScanError
from slicewise.progress import Progress, tracked

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """Processes that this machine's cores carry."""
    return max(1, min(8, len(os.sched_getaffinity(0))))


def run_on_scans(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | ScanError]]:
    """Apply a module-level function to each item, ``workers`` at a time; 0 work in this process.

    A ``ScanError`` becomes the result of its item; a full disk is no fault of a scan and goes on.
    An item whose process dies is tried once more;
    then its result is a ``ScanError``. Any other exception is ours and goes on.
    """
    items = list(items)
    if not items:
        return
    if not workers:
        yield from _in_this_process(function, items)
        return
    # A clean server process is forked again and again: no threads or locks are inherited, and the
    # heavy imports are paid once for all workers.
    context = multiprocessing.get_context("forkserver")
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
            # Whoever stops listening does not want to wait for the rest.
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
    # The server process of an earlier pool has loaded what that one needed.
    importlib.import_module(module)
    # Work that needs no torch must not wait for it.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    # A worker that is on its way out may have a child and semaphores to tidy away. The pool sends
    # its SIGTERM in the midst of that; what hangs is killed later all the same.
    Finalize(None, signal.signal, args=(signal.SIGTERM, signal.SIG_IGN), exitpriority=1000)


def _died(item: object, death: ProcessExpired) -> ScanError:
    return ScanError(
        str(getattr(item, "name", item)),
        expected="its process to finish",
        found=f"the process died twice (exit code {death.exitcode})",
        remedy="check that the scan fits into memory; use fewer --workers",
    )
