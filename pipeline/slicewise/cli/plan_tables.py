"""What was found, planned and measured in; tables on the terminal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from slicewise.cli.console import output


def show_texts(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of sentences, which begin on the left and may take several lines."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    output.print(table)
