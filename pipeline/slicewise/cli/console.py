"""What the terminal shows: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table

from slicewise.cli.flags import with_flags
from slicewise.cli.plain_progress import PlainProgress
from slicewise.errors import printable
from slicewise.progress import Task

_WIDTH_OF_FILES = 140
_PARTS_OF_ERRORS = re.compile(r"\n(?=  (?:expected|found|remedy): )")
output = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
notes = Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A line next to the results, or an error on its four lines."""
    notes.print(_lines(text), markup=False, soft_wrap=True)


def show(text: str) -> None:
    """A line of results."""
    output.print(printable(text), markup=False, soft_wrap=True)


def progress_bar() -> RichProgress:
    """A bar with counts and the remaining time."""
    return RichProgress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=notes,
    )


def shows_bars() -> bool:
    """Whether bars can move here; a log file or a pipe gets lines instead."""
    return notes.is_interactive or notes.is_jupyter


class ConsoleProgress:
    """Shows the progress of use cases as bars or lines, and their messages as notes."""

    def __init__(self) -> None:
        self._bar: RichProgress | None = None
        self._lines = PlainProgress(note)

    @contextmanager
    def task(
        self, description: str, total: float | None = None, *, completed: float = 0
    ) -> Iterator[Task]:
        """A bar with counts and the remaining time; tasks within a task join its display meanwhile.

        Without a terminal, a line at least every 30 seconds.
        """
        description = printable(description)
        if not shows_bars():
            with self._lines.task(description, total, completed=completed) as task:
                yield task
            return
        if self._bar is not None:
            # Many of them may follow one another: trials of a sweep, for example.
            with _begun(self._bar, description, total, completed).removed_at_end() as task:
                yield task
            return
        with progress_bar() as bar:
            self._bar = bar
            try:
                yield _begun(bar, description, total, completed)
            finally:
                self._bar = None

    def message(self, text: str) -> None:
        """A line next to the results."""
        note(text)


class _CommandProgress(ConsoleProgress):
    """Progress of a command, whose messages name flags where Python has options."""

    def message(self, text: str) -> None:
        """A line next to the results."""
        super().message(with_flags(text))


PROGRESS = _CommandProgress()


class _BarTask:
    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar, self._task = bar, task

    def update(
        self, completed: float, *, total: float | None = None, detail: str | None = None
    ) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=completed, total=total)
        if detail is not None:
            self._bar.update(self._task, detail=escape(printable(detail)))

    @contextmanager
    def removed_at_end(self) -> Iterator[Self]:
        """Show the bar for the time of a block."""
        try:
            yield self
        finally:
            self._bar.remove_task(self._task)


def _begun(bar: RichProgress, description: str, total: float | None, completed: float) -> _BarTask:
    return _BarTask(
        bar, bar.add_task(escape(description), total=total, completed=int(completed), detail="")
    )


def loading() -> AbstractContextManager[object]:
    """A sign of life while the libraries load, which takes seconds."""
    return notes.status("loading the libraries")


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of results; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        first = number == 0
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    for row in rows:
        # A name such as scan[left] is no markup.
        table.add_row(*(escape(printable(cell)) for cell in row))
    output.print(table)


def show_texts(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of sentences, which begin on the left and may take several lines."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell)) for cell in row))
    output.print(table)


def _lines(text: str) -> str:
    """A text without line breaks, except for those of errors."""
    return "\n".join(printable(line) for line in _PARTS_OF_ERRORS.split(text))
