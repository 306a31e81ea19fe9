"""Runs works side by side on a Dask cluster, one on a worker, in a child process of the worker.

A worker cannot interrupt what it runs; a child process can be asked to save its state.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from slicewise.dataset.cluster import Cluster, Reports
from slicewise.imaging.child_processes.child import Message
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import SpawnedChildren
from slicewise.interruption import SECONDS_TO_SAVE
from slicewise.progress import Progress
from slicewise.tracking.store_problems import SERVER_VARIABLE
from slicewise.workflows.parallel.children import Hear, Place, call, prepare_child, received_from

Item = TypeVar("Item")
Result = TypeVar("Result")
_STARTED, _ENDED = "started", "ended"
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_TO_SAVE = 0.8 * SECONDS_TO_SAVE
"""The rest is for the end of this process."""


@dataclass(frozen=True)
class OnCluster:
    """The workers of a Dask cluster.

    Attributes:
        cluster: of the workers.
        parallel: works at a time.
    """

    cluster: Cluster
    parallel: int

    def each(
        self,
        function: Callable[[Item, Progress], Result],
        items: Iterator[tuple[str, Item]],
        hear: Hear,
    ) -> Generator[tuple[str, Result | Exception]]:
        """Results as they are ready; see ``Children.each``.

        Raises:
            WorkerError: the cluster does not answer, or it cannot be used from here.
        """
        running = _Running(hear)
        topic = f"slicewise-{uuid.uuid4().hex}"
        work = partial(_supervise, function, topic, os.environ.get(SERVER_VARIABLE))
        results = self.cluster.each(
            work,
            items,
            at_once=self.parallel,
            reports=Reports(topic, running.hear, running.wait_until_ended),
        )
        with closing(results):
            for (name, _), result in results:
                yield name, result


@dataclass
class _Running:
    """The works that have said that they started, and not that they ended."""

    show: Hear
    names: set[str] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def hear(self, event: Any) -> None:
        """Take what a worker has sent."""
        name, kind, *content = event
        if kind not in (_STARTED, _ENDED):
            self.show(name, (kind, *content))
            return
        with self.changed:
            (self.names.add if kind == _STARTED else self.names.discard)(name)
            self.changed.notify_all()

    def wait_until_ended(self) -> None:
        """Wait until all have saved their state."""
        with self.changed:
            self.changed.wait_for(lambda: not self.names, _SECONDS_TO_SAVE)


def _supervise(
    function: Callable[[Item, Progress], Result],
    topic: str,
    tracking_uri: str | None,
    named: tuple[str, Item],
) -> Result | Exception:
    """Run a work in a child process of a worker, until it ends or nobody waits for it any more."""
    from distributed import get_worker

    name, item = named
    worker = get_worker()
    key = worker.get_current_task()
    # Dask tells its workers how many threads are theirs.
    place = Place(int(os.environ.get("OMP_NUM_THREADS", "1")))
    pool = ChildPool(SpawnedChildren(), _prepare, place, tracking_uri)
    worker.log_event(topic, (name, _STARTED))
    try:
        with pool.lend() as child:
            child.send(call, function, item)
            is_waited_for = True
            while True:
                task = worker.state.tasks.get(key)
                if is_waited_for and (task is None or task.state != "executing"):
                    is_waited_for = False
                    child.terminate()
                if not child.connection.poll(_SECONDS_BETWEEN_LOOKS):
                    continue
                received = received_from(child)
                if not isinstance(received, Message):
                    return received  # type: ignore[no-any-return]
                worker.log_event(topic, (name, *received.content))
    finally:
        pool.close()
        worker.log_event(topic, (name, _ENDED))


def _prepare(place: Place, tracking_uri: str | None) -> None:
    """Let a child process track where the caller does."""
    prepare_child(place)
    os.environ.pop(SERVER_VARIABLE, None)
    if tracking_uri is not None:
        os.environ[SERVER_VARIABLE] = tracking_uri
