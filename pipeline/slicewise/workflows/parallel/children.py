"""Runs works side by side in child processes, each with its share of the threads or its own GPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

from slicewise.imaging.child_processes.child import (
    Child,
    Message,
    end_with_parent,
    tell,
)
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import SpawnedChildren
from slicewise.imaging.memory import be_ended_first
from slicewise.interruption import SECONDS_TO_SAVE, interruptible, uninterrupted
from slicewise.progress import Progress
from slicewise.workflows.parallel.relayed_progress import RelayedProgress, Report

Item = TypeVar("Item")
Result = TypeVar("Result")
Hear = Callable[[str, Report], None]
"""Takes the name of a work and what it reports."""
_SECONDS_TO_SAVE = 0.8 * SECONDS_TO_SAVE
"""The rest is for the end of this process."""
_STARTING: Report = ("task", "starting", 0, None, "")


@dataclass(frozen=True)
class Place:
    """What one of the works that run side by side has for itself.

    Attributes:
        threads: of torch.
        gpu: number of its GPU, as ``CUDA_VISIBLE_DEVICES`` takes it; None uses none.
    """

    threads: int
    gpu: str | None = None


@dataclass
class _AtWork:
    name: str
    child: Child
    pool: ChildPool


class Children:
    """Child processes of this machine.

    Args:
        places: one for each work that runs at the same time.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        # New interpreters: what CUDA and OpenMP have set up cannot be forked.
        self._free = [ChildPool(SpawnedChildren(), prepare_child, place) for place in places]
        self._pools = tuple(self._free)
        self._at_work: dict[Any, _AtWork] = {}

    def each(
        self,
        function: Callable[[Item, Progress], Result],
        items: Iterator[tuple[str, Item]],
        hear: Hear,
    ) -> Generator[tuple[str, Result | Exception]]:
        """Results as they are ready; an error, or the death of a child, is that of its work alone.

        A signal, or a caller that stops early, lets all children save their state and end.

        Args:
            function: importable by name.
            items: name and content of each work, taken when a child is free for it; pickled.
            hear: receives what the works report.

        Raises:
            WorkerError: the processes cannot be started.
        """
        try:
            while True:
                while self._free and (following := next(items, None)) is not None:
                    self._begin(function, *following, hear)
                if not self._at_work:
                    return
                yield from self._ready(hear)
        finally:
            with uninterrupted():
                self._stop(hear)
                for pool in self._pools:
                    pool.close()

    def _begin(
        self, function: Callable[[Item, Progress], Result], name: str, item: Item, hear: Hear
    ) -> None:
        with uninterrupted():
            pool = self._free.pop(0)
            child = pool.take()
            child.send(call, function, item)
            self._at_work[child.connection] = _AtWork(name, child, pool)
        hear(name, _STARTING)

    def _ready(self, hear: Hear, seconds: float | None = None) -> Iterator[tuple[str, Any]]:
        """Results that are there, after a wait for the next report or result."""
        for connection in wait(list(self._at_work), seconds):
            work = self._at_work[connection]
            with uninterrupted():
                received = received_from(work.child)
            if isinstance(received, Message):
                hear(work.name, received.content)
                continue
            del self._at_work[connection]
            work.pool.give_back(work.child)
            self._free.append(work.pool)
            yield work.name, received

    def _stop(self, hear: Hear) -> None:
        """Let those that are at work save their state and end."""
        for work in self._at_work.values():
            work.child.terminate()
        until = time.monotonic() + _SECONDS_TO_SAVE
        while self._at_work and (left := until - time.monotonic()) > 0:
            for _ in self._ready(hear, left):
                pass


def call(function: Callable[[Item, Progress], Result], item: Item) -> Result:
    """Run a work in a child process, which a signal ends as it ends a command."""
    with interruptible():
        return function(item, RelayedProgress(tell))


def prepare_child(place: Place) -> None:
    """Give a child process its share of the machine, before it imports torch."""
    os.environ["OMP_NUM_THREADS"] = str(place.threads)
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    be_ended_first()
    end_with_parent()


def received_from(child: Child) -> Any:
    """A message or result; an error is a result, too."""
    try:
        return child.receive_next()
    except Exception as error:
        return error
