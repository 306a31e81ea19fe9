"""The door of trainings that run side by side, and what became of those that did not end well."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol, TypeVar

from slicewise.errors import SlicewiseError, TrainingError, file_problem
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.progress import Progress
from slicewise.workflows.parallel.children import Hear
from slicewise.workflows.parallel.relayed_progress import Display

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Where works run side by side; see ``Children``."""

    def each(
        self,
        function: Callable[[Item, Progress], Result],
        items: Iterator[tuple[str, Item]],
        hear: Hear,
    ) -> Generator[tuple[str, Result | Exception]]:
        """Results as they are ready."""


def side_by_side(
    engine: Engine,
    function: Callable[[Item, Progress], Result],
    items: Iterable[tuple[str, Item]],
    progress: Progress,
    works: str,
    total: int | None,
) -> Generator[tuple[str, Result | Exception]]:
    """Run works side by side and show their progress; see ``Children.each``.

    Whoever stops early must close the generator, which ends all works.

    Args:
        engine: where they run.
        function: importable by name.
        items: name and content of each work.
        progress: shows a task for all, and one for each that runs.
        works: what they are, such as "folds".
        total: their number; None where it is not known.
    """
    with (
        progress.task(works, total) as whole,
        Display(progress) as display,
        closing(engine.each(function, iter(items), display.hear)) as done,
    ):
        for number, (name, result) in enumerate(done, start=1):
            display.end(name)
            whole.update(number)
            if isinstance(result, Exception):
                progress.message(f"{name} failed: {reason_of(result)}")
            yield name, result


def reason_of(error: Exception) -> str:
    """Why a work did not come to its end, in one line."""
    if isinstance(error, ChildEndedError):
        return f"a process that {error}"
    if isinstance(error, SlicewiseError):
        return f"{error.where}: {error.reason}"
    if isinstance(error, OSError):
        return f"{error.filename or 'this machine'}: {file_problem(error)}"
    return "an error that Slicewise did not foresee"


def failed(
    where: Path, failures: Mapping[str, Exception], *, expected: str, remedy: str
) -> TrainingError:
    """The error of works that did not come to their end, when all others have.

    Args:
        where: folder of all works.
        failures: name of each to what it ended with.
        expected: what there should be.
        remedy: how it goes on.

    Raises:
        Exception: one that nobody has foreseen, so that it is reported as such.
    """
    for error in failures.values():
        if not isinstance(error, SlicewiseError | OSError | ChildEndedError):
            raise error
    reasons = "; ".join(f"{name}: {reason_of(error)}" for name, error in failures.items())
    found = f"{len(failures)} that did not end well: {reasons}"
    return TrainingError(where, expected=expected, found=found, remedy=remedy)
