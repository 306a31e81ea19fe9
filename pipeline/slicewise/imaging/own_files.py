"""Reads files that Slicewise wrote: whole, unchanged and of the expected content, or not at all.

A folder may list the checksums of its files in ``SHA256SUMS``, as the command ``sha256sum`` writes
and checks them. Every file that is read here must match the list in its folder, where
there is one.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from slicewise.config.mistakes import in_words
from slicewise.errors import DataError, file_problem
from slicewise.imaging.files import sha256_of, write_text

CHECKSUMS = "SHA256SUMS"
"""Lists the checksums of the files of its folder."""
EDITED = "# edited by hand"
"""Last line of a YAML file that was changed on purpose, and is read in spite of its checksum."""
_LISTED = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>[^/\\\0]+)")
_OF_JSON = re.compile(r"Invalid JSON: (?P<reason>.*) at line (?P<line>\d+) column (?P<column>\d+)")
_MOST_LETTERS = 60

Content = TypeVar("Content")


@dataclass(frozen=True)
class OwnFile:
    """A file that Slicewise wrote.

    Attributes:
        path: of the file.
        what: its content, for errors.
        remedy: for a damaged file.
    """

    path: Path
    what: str
    remedy: str

    def exists(self) -> bool:
        """Whether it was written; a file that was lost since counts, so that it is missed."""
        return os.path.lexists(self.path) or self.path.name in read_checksums(self.path.parent)

    def text(self) -> str:
        """Its text, with the checksum verified unless its last line is ``EDITED``.

        Raises:
            DataError: it cannot be read, is no text, or was changed since it was written.
        """
        content = self._content()
        text = self._decoded(content)
        if not was_edited(text):
            self._require_unchanged(content)
        return text

    def json(self, kind: TypeAdapter[Content]) -> Content:
        """Its content as JSON.

        Raises:
            DataError: as ``text``, or another content.
        """
        content = self._content()
        parsed = self._parsed(kind, self._decoded(content))
        self._require_unchanged(content)
        return parsed

    def json_lines(self, kind: TypeAdapter[Content]) -> list[Content]:
        """Its content as one line of JSON an item.

        Raises:
            DataError: as ``json``.
        """
        content = self._content()
        lines = self._decoded(content).split("\n")
        if lines.pop():
            raise self.damaged("a line that is cut off", len(lines) + 1)
        parsed = [self._parsed(kind, line, number) for number, line in enumerate(lines, start=1)]
        self._require_unchanged(content)
        return parsed

    def rows(
        self, columns: Sequence[str], parse: Callable[[Mapping[str, str]], Content]
    ) -> list[Content]:
        """Its content as the rows of a CSV.

        Args:
            columns: that it must have.
            parse: makes an item of a row; raises ValueError where the row makes no sense.

        Raises:
            DataError: as ``text``, or another table.
        """
        content = self._content()
        reader = csv.DictReader(io.StringIO(self._decoded(content), newline=""))
        try:
            _require_columns(columns, reader.fieldnames or ())
            found = [parse(_whole(row)) for row in reader]
        except (ValueError, csv.Error) as error:
            raise self.damaged(str(error), max(reader.line_num, 1)) from None
        self._require_unchanged(content)
        return found

    def damaged(self, found: str, line: int | None = None) -> DataError:
        """The error for a content that makes no sense."""
        return DataError(
            self.path if line is None else f"{self.path}:{line}",
            expected=self.what,
            found=found,
            remedy=self.remedy,
        )

    def _content(self) -> bytes:
        try:
            # Anything else might never end, or never begin.
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise self.damaged("a folder" if self.path.is_dir() else "no regular file")
            content = self.path.read_bytes()
        except OSError as error:
            raise self.damaged(file_problem(error)) from None
        if not content:
            raise self.damaged("an empty file")
        return content

    def _decoded(self, content: bytes) -> str:
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise self.damaged("bytes that are not UTF-8 text", line) from None

    def _parsed(self, kind: TypeAdapter[Content], text: str, line: int | None = None) -> Content:
        try:
            return kind.validate_json(text, strict=True)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            broken = _OF_JSON.fullmatch(detail["msg"])
            if broken is None:
                raise self.damaged(_fault(detail), line) from None
            where = (line or 1) + int(broken["line"]) - 1
            raise self.damaged(f"no JSON: {broken['reason']}", where) from None

    def _require_unchanged(self, content: bytes) -> None:
        listed = read_checksums(self.path.parent)
        if listed and self.path.name not in listed:
            raise self.damaged(f"no checksum of it in {CHECKSUMS}")
        if listed and listed[self.path.name] != hashlib.sha256(content).hexdigest():
            raise self.damaged(
                f"another content than was written: its checksum is not that in {CHECKSUMS}"
            )


def was_edited(text: str) -> bool:
    """Whether a text says that a person changed it on purpose."""
    return text.rstrip().endswith(f"\n{EDITED}")


def read_checksums(folder: Path) -> dict[str, str]:
    """Name of each listed file of a folder to its sha256; empty where there is no list.

    Raises:
        DataError: the list is damaged.
    """
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        return {}
    file = OwnFile(
        path,
        "the checksums of the files of this folder, as `sha256sum` writes them",
        "restore the file from a copy, or make the folder again",
    )
    lines = file._decoded(file._content()).split("\n")
    if lines.pop():
        raise file.damaged("a line that is cut off", len(lines) + 1)
    found = {}
    for number, line in enumerate(lines, start=1):
        listed = _LISTED.fullmatch(line)
        if listed is None:
            raise file.damaged(f"{line[:_MOST_LETTERS]!r}", number)
        found[listed["name"]] = listed["digest"]
    return found


def write_checksums(
    folder: Path, names: Iterable[str], texts: Mapping[str, str] | None = None
) -> None:
    """List the checksums of files of a folder, in place of an earlier list.

    Args:
        folder: takes the list.
        names: of files; those that do not exist are left out.
        texts: name to content of files that are written after the list.

    Raises:
        OutputError: the list cannot be written.
    """
    digests = {name: sha256_of(folder / name) for name in names if (folder / name).is_file()}
    for name, text in (texts or {}).items():
        digests[name] = hashlib.sha256(text.encode()).hexdigest()
    lines = (f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    write_text(folder / CHECKSUMS, "".join(lines))


def changed_files(folder: Path) -> list[str]:
    """Names of listed files that are missing, or that differ from their checksum.

    Raises:
        DataError: the list is damaged.
        OSError: a file cannot be read.
    """
    return [
        name
        for name, digest in read_checksums(folder).items()
        if not (folder / name).is_file() or sha256_of(folder / name) != digest
    ]


def _require_columns(columns: Sequence[str], found: Sequence[str]) -> None:
    if absent := [name for name in columns if name not in found]:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ValueError(f"no column {absent[0]}{more}")


def _whole(row: Mapping[str, str]) -> Mapping[str, str]:
    # What the reader fills in where a row has too few cells, or too many.
    if None in row or None in row.values():
        raise ValueError("a row of another length than the first")
    return row


def _fault(detail: Any) -> str:
    """What pydantic refuses, in words."""
    key = ".".join(map(str, detail["loc"]))
    if detail["type"] == "missing":
        return f"no key {key}"
    value = repr(detail["input"])
    shown = value if len(value) <= _MOST_LETTERS else value[: _MOST_LETTERS - 3] + "..."
    expected = in_words(detail)
    return f"{key}: {shown} instead of {expected}" if key else f"{shown} instead of {expected}"
