"""What the terminal shows: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

Item = TypeVar("Item")

_WIDTH_OF_FILES = 140
output = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES)
notes = Console(stderr=True, highlight=False)


def progress_bar() -> Progress:
    """A bar with counts and the remaining time."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
        console=notes,
    )


def tracked(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Pass items on while a bar counts them."""
    for item, _ in tracked_shares(items, description, total):
        yield item


def tracked_shares(
    items: Iterable[Item], description: str, total: int
) -> Iterator[tuple[Item, Callable[[float], None]]]:
    """Pass items on, each with what takes the share of it that is done, while a bar counts them."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=total, detail="")
        for number, item in enumerate(items):

            def within(share: float, before: int = number) -> None:
                bar.update(task, completed=before + share)

            yield item, within
            bar.update(task, completed=number + 1)


def loading() -> AbstractContextManager[object]:
    """A sign of life while the libraries load, which takes seconds."""
    return notes.status("loading the libraries")


def note(text: str) -> None:
    """A line beside the results."""
    notes.print(_harmless(text), markup=False, soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of results; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        first = number == 0
        table.add_column(column, justify="left" if first else "right", no_wrap=first)
    for row in rows:
        # A name such as scan[left] is no markup.
        table.add_row(*(escape(_harmless(cell)) for cell in row))
    output.print(table)


def figure(value: float, digits: int = 4) -> str:
    """A figure for a table; a dash where it is undefined."""
    return "-" if value != value else f"{value:.{digits}f}"


def _harmless(text: str) -> str:
    """Without the control characters that a file name may hold, and a terminal obeys."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
