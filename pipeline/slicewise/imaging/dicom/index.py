"""Index of DICOM headers, so that unchanged files are not parsed again."""

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
from slicewise.imaging.walk import FileState

VERSION = 5
"""Increase it when the content of ``SliceHeader`` changes: it invalidates every index."""

NEVER = -1
_NO_IMAGE, _NO_DICOM = "", "-"
"""Contents of files without an image."""
_SLICE = [field.name for field in fields(SliceHeader)][1:]
_REJECTION = [field.name for field in fields(Rejection)][1:]


class HeaderIndex:
    """Private SQLite file (mode 0600) with paths and headers, which identify patients.

    Use it in a ``with`` block.

    Args:
        path: of the file, created if missing; None keeps the index in memory for one search.

    Raises:
        OutputError: the file cannot be created, or is not an index.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
                path.chmod(0o600)
            # An empty name is a temporary database that is deleted when it is closed.
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

    def outdated(self, root: Path, files: Iterable[FileState]) -> int:
        """Register the files of a search, and return how many are new or have changed.

        Files that are no longer below the root are deleted from the index.
        """
        rows = ((os.fsencode(file.path), file.size, file.modified_ns) for file in files)
        self._store.executemany("INSERT OR IGNORE INTO walked VALUES (?, ?, ?)", rows)
        below = os.fsencode(root) + os.sep.encode()
        # A range of the keys: a manifest searches as many folders as the index has.
        beyond = below[:-1] + bytes([below[-1] + 1])
        self._store.execute(
            "DELETE FROM files WHERE path > ? AND path < ? AND path NOT IN "
            "(SELECT path FROM walked)",
            (below, beyond),
        )
        self._store.execute("DROP TABLE IF EXISTS temp.outdated")
        self._store.execute("""
            CREATE TEMP TABLE outdated AS
            SELECT walked.path, walked.size, walked.modified_ns FROM walked
            LEFT JOIN files USING (path)
            WHERE files.path IS NULL OR files.size != walked.size
                OR files.modified_ns != walked.modified_ns
            ORDER BY walked.path""")
        (count,) = self._store.execute("SELECT count(*) FROM outdated").fetchone()
        return int(count)

    def outdated_files(self, at_once: int) -> Iterator[list[FileState]]:
        """The files that ``outdated`` has counted, in order, so many at a time."""
        query = "SELECT rowid, * FROM outdated WHERE rowid > ? ORDER BY rowid LIMIT ?"
        last = 0
        while rows := self._store.execute(query, (last, at_once)).fetchall():
            last = rows[-1][0]
            yield [
                FileState(Path(os.fsdecode(path)), size, modified_ns)
                for _, path, size, modified_ns in rows
            ]

    def store(self, contents: Iterable[tuple[FileState, FileContents]]) -> None:
        """Store the contents of files in one transaction."""
        rows = [
            (
                os.fsencode(file.path),
                # No file has this size: temporary errors are retried by the next search.
                NEVER if held.rejection and held.rejection.may_pass else file.size,
                file.modified_ns,
                # A damaged header may contain invalid text.
                held.series_uid.encode(errors="surrogatepass"),
                _as_text(held),
            )
            for file, held in contents
        ]
        self._store.execute("BEGIN")
        self._store.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", rows)
        self._store.execute("COMMIT")

    def by_series(self) -> Iterator[tuple[str, list[FileContents]]]:
        """Contents of the files of this search by series UID, in order; the empty one comes first.

        Only one series is in memory at a time.
        """
        # Copied first, because an open query blocks other processes from writing.
        self._store.execute(
            "CREATE TEMP TABLE found AS SELECT files.series_uid, path, files.content "
            "FROM walked JOIN files USING (path) WHERE files.content NOT IN (?, ?)",
            (_NO_IMAGE, _NO_DICOM),
        )
        query = "SELECT series_uid, path, content FROM found ORDER BY series_uid, path"
        with closing(self._store.execute(query)) as rows:
            for series_uid, members in groupby(rows, key=lambda row: row[0]):
                try:
                    held = [_from_text(Path(os.fsdecode(path)), text) for _, path, text in members]
                except (ValueError, TypeError) as error:
                    raise self._unusable(error) from error
                yield series_uid.decode(errors="surrogatepass"), held

    def others(self) -> list[Path]:
        """Files of this search that are not DICOM, in order."""
        query = "SELECT path FROM walked JOIN files USING (path) WHERE files.content = ?"
        rows = self._store.execute(f"{query} ORDER BY path", (_NO_DICOM,))
        return [Path(os.fsdecode(path)) for (path,) in rows]

    def _unusable(self, error: Exception) -> OutputError:
        return OutputError(
            self._path or "temporary index",
            expected="a writable, intact index of DICOM headers",
            found=str(error),
            remedy="delete the file, free space, or choose another folder with `work`",
        )

    def _prepare(self) -> None:
        columns = "path BLOB PRIMARY KEY, size INTEGER, modified_ns INTEGER"
        # Only one of two concurrent processes creates the table.
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
    if not (held.slices or held.rejection or held.labels):
        return _NO_IMAGE if held.is_dicom else _NO_DICOM
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
