"""Progress that remembers what was reported, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class RecordedTask:
    """A task and all of its updates.

    Attributes:
        description: what is done.
        total: the last known.
        completed: of each update, in their order.
    """

    description: str
    total: float | None
    completed: list[float] = field(default_factory=list)

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Remember an update."""
        del detail
        self.completed.append(completed)
        self.total = self.total if total is None else total


@dataclass
class RecordedProgress:
    """All tasks and messages, in their order."""

    tasks: list[RecordedTask] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[RecordedTask]:
        """Remember a task."""
        del completed
        self.tasks.append(RecordedTask(description, total))
        yield self.tasks[-1]

    def message(self, text: str) -> None:
        """Remember a message."""
        self.messages.append(text)
