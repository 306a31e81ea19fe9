"""How long work reports its progress: one protocol for all rooms, and one that says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Task(Protocol):
    """A piece of work that is under way."""

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Report how far the work is.

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
        """Begin a piece of work; it ends with the context.

        Args:
            description: what is done, such as "preprocessing".
            total: number of units, such as scans or steps; None where it is not known.
            completed: units that an earlier run has done already.
        """

    def message(self, text: str) -> None:
        """Receive one sentence about what happens, such as the score of a validation."""


class SilentTask:
    """A task that nobody watches."""

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Ignore the progress."""


class Silent:
    """Progress that nobody watches: the default of every use case."""

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[Task]:
        """A task that nobody watches."""
        del description, total, completed
        yield SilentTask()

    def message(self, text: str) -> None:
        """Ignore the message."""


SILENT = Silent()


def tracked(
    items: Iterable[Item], progress: Progress, description: str, total: int
) -> Iterator[Item]:
    """Pass items on and count them: one is done when the next is asked for."""
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
