"""The mark of a folder: who wrote each of its files, for which purpose, and with which model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from slicewise.errors import DataError, OutputError, file_problem
from slicewise.imaging.files import before_rename, sha256_of

MARK = ".slicewise.jsonl"
"""In each folder that something was written to: a line a file, written before the file is."""
PREDICT = "predict"
"""Purpose of masks that a model makes."""
_SHOWN = 3


@dataclass(frozen=True)
class Writer:
    """Who writes.

    Attributes:
        purpose: of the files: the command that writes them, such as ``predict``.
        made_by: the model that makes them; empty where none does.
    """

    purpose: str
    made_by: str = ""


@dataclass(frozen=True)
class Record:
    """A line of a mark.

    Attributes:
        file: name in the folder of the mark.
        purpose: see ``Writer``.
        made_by: see ``Writer``.
        sha256: of its content; empty for one whose content is not followed, such as a checkpoint.
    """

    file: str
    purpose: str
    made_by: str = ""
    sha256: str = ""


@contextmanager
def marking(writer: Writer, paths: Iterable[Path]) -> Iterator[None]:
    """Mark files before they come into their places, so that a kill leaves none unmarked.

    Args:
        writer: who writes.
        paths: of the files.
    """
    places = {place_of(path) for path in paths}

    def mark(temporary: Path, path: Path) -> None:
        if place_of(path) in places:
            record = Record(path.name, writer.purpose, writer.made_by, sha256_of(temporary))
            append_record(path.parent, record)

    with before_rename(mark):
        yield


@contextmanager
def marking_all(writer: Writer, folder: Path) -> Iterator[None]:
    """Mark every file that is written to a folder, or below it; see ``marking``."""
    root = folder.resolve()

    def mark(temporary: Path, path: Path) -> None:
        if place_of(path).is_relative_to(root):
            record = Record(path.name, writer.purpose, writer.made_by, sha256_of(temporary))
            append_record(path.parent, record)

    with before_rename(mark):
        yield


def require_one_maker(paths: Iterable[Path], where: Path) -> None:
    """Refuse masks of several models in the place of those of one.

    Masks that were not made by Slicewise, or were changed by hand since, count for none.

    Args:
        paths: of the masks.
        where: their folder, for messages.

    Raises:
        DataError: which masks are whose.
    """
    made: dict[str, list[str]] = {}
    for folder, names in _by_folder(paths).items():
        mark = read_mark(folder)
        for name in names if mark else ():
            record = record_in(folder / name, mark)
            if record is not None and record.made_by:
                made.setdefault(record.made_by, []).append(name)
    if len(made) > 1:
        raise DataError(
            where,
            expected="masks of one model",
            found="; ".join(f"{maker} made {_listed(names)}" for maker, names in made.items()),
            remedy="predict all scans again with one of them and `overwrite`, or move the masks "
            "of each to a folder of their own",
        )


def made_by_others(folder: Path, writer: Writer) -> list[Path]:
    """What was written for the same purpose, but by another model, and not changed since."""
    found = []
    for mark_file in sorted(folder.rglob(MARK)):
        mark = read_mark(mark_file.parent)
        for name in mark:
            path = mark_file.parent / Path(name).name
            record = record_in(path, mark)
            if record and record.purpose == writer.purpose and record.made_by != writer.made_by:
                found.append(path)
    return found


def read_mark(folder: Path) -> dict[str, list[Record]]:
    """Name of each file to the records of it, the latest last; what is damaged is left out."""
    records: dict[str, list[Record]] = {}
    try:
        text = (folder / MARK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return records
    for line in text.splitlines():
        try:
            content = json.loads(line)
            record = Record(**{key: str(value) for key, value in content.items()})
        except (ValueError, TypeError, AttributeError):
            # A process was killed while it wrote the line.
            continue
        records.setdefault(record.file, []).append(record)
    return records


def record_of(path: Path) -> Record | None:
    """Who wrote a file; None where that was not Slicewise, or it was changed since."""
    return record_in(path, read_mark(path.parent))


def record_in(path: Path, mark: dict[str, list[Record]]) -> Record | None:
    """Who wrote a file, by the mark of its folder; see ``record_of``."""
    known = [item for item in mark.get(path.name, ()) if item.sha256]
    if not known or path.is_symlink() or not path.is_file():
        return None
    digest = sha256_of(path)
    return next((item for item in reversed(known) if item.sha256 == digest), None)


def entry_of(path: Path, mark: dict[str, list[Record]]) -> Record | None:
    """Who writes an entry of a folder, whatever it holds; None where that is not Slicewise."""
    known = [item for item in mark.get(path.name, ()) if not item.sha256]
    return known[-1] if known and not path.is_symlink() else None


def append_record(folder: Path, record: Record) -> None:
    """Add a line to the mark of a folder, unless it is the last of its file.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = folder / MARK
    if read_mark(folder).get(record.file, [None])[-1] == record:
        return
    content = {key: value for key, value in asdict(record).items() if value}
    line = json.dumps(content) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o666), "r+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
                # Half a line of a process that was killed.
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(
            path,
            expected="a folder that can be written",
            found=file_problem(error),
            remedy="choose another folder, free space, or correct its permissions",
        ) from error


def _by_folder(paths: Iterable[Path]) -> dict[Path, list[str]]:
    folders: dict[Path, list[str]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path.name)
    return folders


def place_of(path: Path) -> Path:
    """A path without links above it; a link in its own place is what would be replaced."""
    return path.parent.resolve() / path.name


def some_of(paths: Sequence[Path]) -> str:
    """Names of files for a message; of many their number and the first."""
    return _listed([path.name for path in paths])


def _listed(names: Sequence[str]) -> str:
    some = ", ".join(names[:_SHOWN])
    return some if len(names) <= _SHOWN else f"{len(names)} files, such as {some}"
