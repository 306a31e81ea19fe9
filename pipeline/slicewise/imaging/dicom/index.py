"""What each DICOM file held when it was last looked at; unchanged files are not parsed again."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import fields
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from slicewise.errors import OutputError
from slicewise.imaging.dicom.slice_header import FileContents, LabelFile, Rejection, SliceHeader
from slicewise.imaging.dicom.walk import FileState

VERSION = 3
"""Raise it when the same file would give other facts: it empties every index."""

NEVER = -1
_SLICE = [field.name for field in fields(SliceHeader)][1:]
_REJECTION = [field.name for field in fields(Rejection)][1:]


class HeaderIndex:
    """A private SQLite file (0600): it holds paths, and what the headers say about patients.

    Use it in a ``with`` block.

    Args:
        path: of the file, made where it is missing; None keeps the index for this search only.

    Raises:
        OutputError: the file cannot be made, or is no index.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                path.chmod(0o600)
            # The empty name is a private database that vanishes when it is closed.
            self._store = sqlite3.connect(str(path or ""), timeout=60, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._store.close()
        if isinstance(error, sqlite3.Error):
            raise self._unusable(error) from error

    def outdated(self, root: Path, files: Iterable[FileState]) -> list[FileState]:
        """Remember which files this search is about; those that are new or have changed.

        What is no longer below the root is forgotten: the index names patients.
        """
        rows = ((os.fsencode(file.path), file.size, file.modified_ns) for file in files)
        self._store.executemany("INSERT OR IGNORE INTO walked VALUES (?, ?, ?)", rows)
        below = os.fsencode(root) + os.sep.encode()
        self._store.execute(
            "DELETE FROM files WHERE substr(path, 1, ?) = ? AND path NOT IN "
            "(SELECT path FROM walked)",
            (len(below), below),
        )
        query = """
            SELECT walked.path, walked.size, walked.modified_ns FROM walked
            LEFT JOIN files USING (path)
            WHERE files.path IS NULL OR files.size != walked.size
                OR files.modified_ns != walked.modified_ns
            ORDER BY walked.path"""
        return [
            FileState(Path(os.fsdecode(path)), size, modified_ns)
            for path, size, modified_ns in self._store.execute(query)
        ]

    def store(self, contents: Iterable[tuple[FileState, FileContents]]) -> None:
        """Remember what files hold, in one transaction."""
        rows = [
            (
                os.fsencode(file.path),
                # No file has this size: what may pass is looked at again the next time.
                NEVER if held.rejection and held.rejection.may_pass else file.size,
                file.modified_ns,
                # A damaged header may hold what is no text.
                held.series_uid.encode(errors="surrogatepass"),
                _as_text(held),
            )
            for file, held in contents
        ]
        self._store.execute("BEGIN")
        self._store.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
        self._store.execute("COMMIT")

    def by_series(self) -> Iterator[tuple[str, list[FileContents]]]:
        """What the files of this search hold, series by series; the empty name comes first.

        Only one series is held in memory.
        """
        # Copied first: a query that is held open would keep other processes from writing.
        self._store.execute(
            "CREATE TEMP TABLE found AS SELECT files.series_uid, path, files.content "
            "FROM walked JOIN files USING (path) WHERE files.content != ''"
        )
        query = "SELECT series_uid, path, content FROM found ORDER BY series_uid, path"
        with closing(self._store.execute(query)) as rows:
            for series_uid, members in groupby(rows, key=lambda row: row[0]):
                try:
                    held = [_from_text(Path(os.fsdecode(path)), text) for _, path, text in members]
                except (ValueError, TypeError) as error:
                    raise self._unusable(error) from error
                yield series_uid.decode(errors="surrogatepass"), held

    def _unusable(self, error: Exception) -> OutputError:
        return OutputError(
            self._path or "temporary index",
            expected="a place for the index of DICOM headers, or a sound index there",
            found=str(error),
            remedy="delete the file, free space, or choose another --work",
        )

    def _prepare(self) -> None:
        columns = "path BLOB PRIMARY KEY, size INTEGER, modified_ns INTEGER"
        # Of two processes that begin at once, one makes the table.
        self._store.execute("BEGIN IMMEDIATE")
        if self._store.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            self._store.execute("DROP TABLE IF EXISTS files")
            self._store.execute(f"PRAGMA user_version = {VERSION}")
        self._store.execute(
            f"CREATE TABLE IF NOT EXISTS files ({columns}, series_uid BLOB, content TEXT) "
            "WITHOUT ROWID"
        )
        self._store.execute("COMMIT")
        self._store.execute(f"CREATE TEMP TABLE walked ({columns}) WITHOUT ROWID")


def _as_text(held: FileContents) -> str:
    if held == FileContents():
        return ""
    return json.dumps(
        [
            [[getattr(one, name) for name in _SLICE] for one in held.slices],
            held.rejection and [getattr(held.rejection, name) for name in _REJECTION],
            held.labels and held.labels.series_uids,
        ]
    )


def _from_text(path: Path, text: str) -> FileContents:
    slices, rejection, labelled = json.loads(text)
    return FileContents(
        tuple(SliceHeader(path, *map(_as_tuples, row)) for row in slices),
        rejection and Rejection(path, *rejection),
        None if labelled is None else LabelFile(path, tuple(labelled)),
    )


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
