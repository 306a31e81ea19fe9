"""Protocol by which all modules report progress, and a silent implementation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Task(Protocol):
    """A running task, whose progress can be updated."""

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Report the progress of the task.

        Args:
            completed: done so far, in the units of the total; fractions are welcome.
            total: a better estimate of the whole; None keeps the one that is known.
            detail: a few words about the present state, such as the loss; None keeps the last.
        """


class Progress(Protocol):
    """Receives the progress of a use case, for example to show it as bars.

    Example:
        Any object with these two methods will do::

            class Printed:
                @contextmanager
                def task(self, description, total=None, completed=0):
                    print(description)
                    yield SilentTask()

                def message(self, text):
                    print(text)
    """

    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> AbstractContextManager[Task]:
        """Start a task, which ends with the context.

        Args:
            description: what is done, such as "preprocessing".
            total: number of units, such as scans or steps; None where it is not known.
            completed: units that an earlier run has done already.
        """

    def message(self, text: str) -> None:
        """Receive a message, such as the score of a validation."""


class SilentTask:
    """A task that is not shown."""

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Ignore the progress."""


class Silent:
    """Progress that is not shown: the default of every use case."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[Task]:
        """A task that is not shown."""
        del description, total, completed
        yield SilentTask()

    def message(self, text: str) -> None:
        """Ignore the message."""


SILENT = Silent()


def tracked(
    items: Iterable[Item], progress: Progress, description: str, total: int
) -> Iterator[Item]:
    """Yield items and count them; an item is completed when the next one is requested."""
    with progress.task(description, total) as task:
        for number, item in enumerate(items, start=1):
            yield item
            task.update(number)


class PartOfTask:
    """A task of its own within a larger one, for example one scan of many.

    Args:
        whole: the larger task.
        before: units of it that are done when this part begins; this part is one unit.
    """

    def __init__(self, whole: Task, before: float) -> None:
        self._whole, self._before = whole, before

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Report the share of this part that is done, between 0 and 1."""
        del total
        self._whole.update(self._before + completed, detail=detail)
