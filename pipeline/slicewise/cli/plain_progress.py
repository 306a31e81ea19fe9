"""Progress as lines of text, for log files and terminals that cannot show bars."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from slicewise.quantities import duration

SECONDS_BETWEEN_LINES = 30.0


class PlainTask:
    """A running task, described in one line.

    Args:
        description: what is done.
        total: number of units; None if it is not known.
        completed: units that an earlier run has done already.
        clock: seconds.
    """

    def __init__(
        self, description: str, total: float | None, completed: float, clock: Callable[[], float]
    ) -> None:
        self._description, self._total = description, total
        self._before = self._completed = completed
        self._detail = ""
        self._clock, self._started = clock, clock()
        self._part_started = self._started

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Remember the progress; the next line shows it."""
        if completed < self._completed or (self._total is None and total is not None):
            # Another part of the work, which has its own speed.
            self._before, self._part_started = completed, self._clock()
        self._completed = completed
        self._total = self._total if total is None else total
        self._detail = self._detail if detail is None else detail

    @property
    def line(self) -> str:
        """Such as ``training: 120 of 500 (24 %), 3.1 min, about 9.8 min left, loss 0.512``."""
        seconds = self._clock() - self._started
        left = self._left(self._clock() - self._part_started)
        parts = [*self._count(), duration(seconds), *left]
        return f"{self._description}: {', '.join([*parts, *filter(None, [self._detail])])}"

    def _count(self) -> Iterator[str]:
        if self._total:
            share = 100 * self._completed / self._total
            yield f"{self._completed:,.0f} of {self._total:,.0f} ({share:.0f} %)"
        elif self._completed:
            yield f"{self._completed:,.0f}"

    def _left(self, seconds: float) -> Iterator[str]:
        done = self._completed - self._before
        if self._total and done > 0 and seconds >= 1 and self._total > self._completed:
            yield f"about {duration(seconds * (self._total - self._completed) / done)} left"


class PlainProgress:
    """Writes a line at regular intervals while a task runs, and one at its end.

    The lines come from a thread of their own, because a single step may take minutes.

    Args:
        write: receives the lines.
        clock: seconds.
        new_stop: makes the event whose ``wait`` ends early when a task ends.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        new_stop: Callable[[], threading.Event] = threading.Event,
    ) -> None:
        self._write, self._clock, self._new_stop = write, clock, new_stop
        self._running: list[PlainTask] = []

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[PlainTask]:
        """A task; lines of a task within a task begin with the outer one."""
        task = PlainTask(description, total, completed, self._clock)
        self._running.append(task)
        try:
            if len(self._running) == 1:
                with self._lines():
                    yield task
            else:
                yield task
        finally:
            self._running.remove(task)
            self._write(task.line)

    @contextmanager
    def _lines(self) -> Iterator[None]:
        stop = self._new_stop()
        thread = threading.Thread(target=self._write_until, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _write_until(self, stop: threading.Event) -> None:
        while not stop.wait(SECONDS_BETWEEN_LINES):
            self._write("; ".join(task.line for task in list(self._running)))
