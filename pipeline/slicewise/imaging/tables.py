"""Reads tables of users: CSV of any usual separator and encoding, as spreadsheets save it."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import DataError, file_problem
from slicewise.quantities import counted

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
"""Characters between the cells of a row, with their names."""
_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPREADSHEET = b"PK\x03\x04"
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\r?\n')


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: of the file, from 1, in which it ends.
        cells: column to text, without spaces at its ends.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        columns: names, in lower case.
        rows: in the order of the file; empty ones are left out.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path, known: Collection[str]) -> Table:
    """Read a table; the separator is that which divides the header into known columns.

    UTF-8 and UTF-16 are read, with or without a byte order mark, and any line endings.

    Args:
        path: of the file.
        known: names of columns that the table may have.

    Raises:
        DataError: unreadable, of another encoding, a row of another length than the header, an
            open quotation, or a column twice.
    """
    text = _text(path)
    first_line, candidates = 0, tuple(SEPARATORS)
    if named := _SEPARATOR_LINE.match(text):
        # Excel's own way to name the separator.
        text, first_line, candidates = text[named.end() :], 1, (named[1],)
    separator = max(candidates, key=lambda one: len(set(_header(text, one)) & set(known)))
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = tuple(cell.casefold() for cell in cells)
                continue
            line = reader.line_num + first_line
            _require_length(path, line, cells, columns, separator)
            rows.append(Row(line, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        where = f"{path}: line {reader.line_num + first_line}"
        found = f"a cell that cannot be read ({error})"
        raise _unreadable(where, found, "correct the quotation marks of the line") from None
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise _unreadable(path, f"the column {twice[0] or 'without a name'} twice", "remove one")
    return Table(columns, tuple(rows))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "correct the path or its permissions"
        raise _unreadable(path, file_problem(error), remedy) from None
    if content.startswith(_SPREADSHEET):
        raise _unreadable(path, "a spreadsheet, such as .xlsx", "save the table as CSV UTF-8")
    try:
        if content.startswith(_BYTE_ORDER_MARKS):
            text = content.decode("utf-16")
        elif content[1:2] == b"\0" or content[:1] == b"\0":
            text = content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _unreadable(
            f"{path}: line {line}",
            "letters in another encoding than UTF-8",
            'save the table as "CSV UTF-8"',
        ) from None
    return text


def _header(text: str, separator: str) -> list[str]:
    line = text.lstrip().partition("\n")[0].partition("\r")[0]
    return [cell.strip().strip('"').strip().casefold() for cell in line.split(separator)]


def _require_length(
    path: Path, line: int, cells: list[str], columns: tuple[str, ...], separator: str
) -> None:
    if len(cells) == len(columns):
        return
    name = SEPARATORS.get(separator, repr(separator))
    raise DataError(
        f"{path}: line {line}",
        expected=f"{len(columns)} cells, as in the header, with {name} between them",
        found=f"{counted(len(cells), 'cell')}: {', '.join(cells)[:200]}",
        remedy="correct the line; put a cell that contains the separator into quotation marks",
    )


def _unreadable(where: Path | str, found: str, remedy: str) -> DataError:
    return DataError(where, expected="a table as CSV", found=found, remedy=remedy)
