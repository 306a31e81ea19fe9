"""Applies functions to scans in processes of this machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from multiprocessing.connection import wait
from typing import Any, TypeVar

from slicewise.imaging.child_processes.child import Child, ChildEndedError
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import ForkedChildren
from slicewise.imaging.memory import be_ended_first

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, module: str
) -> Iterator[tuple[Item, Result | ChildEndedError]]:
    """Results as they complete; processes that die are replaced, and lose their item.

    Args:
        function: importable by name.
        items: are pickled.
        workers: number of processes.
        module: imported before the first item.

    Raises:
        WorkerError: the processes cannot be started.
        Exception: raised by the function.
    """
    # Workers are forked from a clean server process: they inherit no threads or locks, and modules
    # are imported only once.
    context = ForkedChildren()
    context.set_forkserver_preload([__name__, module])
    waiting = iter(items)
    at_work: dict[object, tuple[Child, Item]] = {}
    done: list[tuple[Item, Result | ChildEndedError]] = []
    # A caller that stops early does not wait for the rest.
    with closing(ChildPool(context, _prepare, module)) as pool:
        while True:
            for item in islice(waiting, workers - len(at_work)):
                worker = pool.take()
                worker.send(function, item)
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


def _prepare(module: str) -> None:
    # The server process may have been started for another function.
    importlib.import_module(module)
    be_ended_first()
    # Functions without torch must not wait for its import.
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
