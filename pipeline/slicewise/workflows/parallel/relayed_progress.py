"""Progress of a work in another process: it sends what it reports, and this process shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

from slicewise.progress import Progress, Task

Report = Sequence[Any]
"""``("message", text)`` or ``("task", description, completed, total, detail)``: plain values, which
any connection can carry."""
_SECONDS_BETWEEN_UPDATES = 0.2


class RelayedProgress:
    """Progress that is sent to the process which shows it.

    Args:
        send: takes a report there.
        clock: seconds.
    """

    def __init__(
        self, send: Callable[[Report], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock = send, clock

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[Task]:
        """A task that the other process shows as a part of the whole work."""
        task = _RelayedTask(self._send, self._clock, description, total, completed)
        task.send()
        try:
            yield task
        finally:
            task.send()

    def message(self, text: str) -> None:
        """Send a message."""
        self._send(("message", text))


class _RelayedTask:
    def __init__(
        self,
        send: Callable[[Report], None],
        clock: Callable[[], float],
        description: str,
        total: float | None,
        completed: float,
    ) -> None:
        self._send, self._clock = send, clock
        self._description, self._total, self._completed = description, total, completed
        self._detail = ""
        self._sent_at = 0.0

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Remember the progress, and send it now and then."""
        self._completed = completed
        self._total = self._total if total is None else total
        self._detail = self._detail if detail is None else detail
        if self._clock() - self._sent_at >= _SECONDS_BETWEEN_UPDATES:
            self.send()

    def send(self) -> None:
        self._sent_at = self._clock()
        self._send(("task", self._description, self._completed, self._total, self._detail))


class Display:
    """Shows works that go on side by side: a task each, and messages that begin with its name.

    Args:
        progress: shows them; one of its tasks must be running meanwhile.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, tuple[ExitStack, Task]] = {}
        self._ended: set[str] = set()
        # A cluster reports in another thread.
        self._showing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in list(self._tasks):
            self.end(name)

    def hear(self, name: str, report: Report) -> None:
        """Show what a work has reported."""
        kind, *content = report
        if kind == "message":
            self._progress.message(f"{name}: {content[0]}")
            return
        description, completed, total, detail = content
        with self._showing:
            if name in self._ended:
                return
            if name not in self._tasks:
                shown = ExitStack()
                self._tasks[name] = shown, shown.enter_context(self._progress.task(name, total))
            words = ", ".join(filter(None, (description, detail)))
            self._tasks[name][1].update(completed, total=total, detail=words)

    def end(self, name: str) -> None:
        """A work has ended."""
        with self._showing:
            self._ended.add(name)
            shown, _ = self._tasks.pop(name, (ExitStack(), None))
            shown.close()
