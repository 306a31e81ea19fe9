"""What a command may write and where; a mark in each folder says who wrote its files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from slicewise.errors import OutputError, file_problem
from slicewise.imaging.files import before_rename, sha256_of
from slicewise.imaging.locking import sole_user

MARK = ".slicewise.jsonl"
"""In each folder that something was written to: a line a file, written before the file is."""
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


class Target:
    """The files that one command writes for its user.

    No file is replaced that was not written there for the same purpose, or that was changed since,
    unless that is wanted; what a command reads is never replaced.

    Args:
        writer: who writes.
        overwrite: replace files of others.
        inputs: files and folders that are read; what others have put into these folders stays, too.
    """

    def __init__(
        self, writer: Writer, *, overwrite: bool = False, inputs: Iterable[Path] = ()
    ) -> None:
        self.writer = writer
        self.overwrite = overwrite
        self._inputs = {_same(path): path for path in inputs}
        self._folders = {key: path for key, path in self._inputs.items() if path.is_dir()}
        self._nodes = {
            (found.st_dev, found.st_ino)
            for path in self._inputs.values()
            if (found := _stat(path)) is not None
        }
        self._claimed: set[Path] = set()

    def claim(self, paths: Iterable[Path], option: str = "out") -> None:
        """Require that files may be written, before any work is done.

        Args:
            paths: of the files.
            option: that names them.

        Raises:
            OutputError: an input or a file of others would be replaced, or a folder is in the way.
        """
        paths = list(paths)
        for path in paths:
            self._require_no_input(path, option)
            _require_place(path, option)
        marks = {folder: read_mark(folder) for folder in {path.parent for path in paths}}
        there = [path for path in paths if path.exists() or path.is_symlink()]
        records = {path: _record(path, marks[path.parent]) for path in there}
        self._require_own(records, option)
        self._claimed.update(map(_place, paths))

    def claim_entries(self, folder: Path, names: Iterable[str], option: str = "out") -> None:
        """Require that files and folders of a folder may be written, whatever they will hold.

        Their content is not followed: whoever may write there may replace it.

        Args:
            folder: of a run.
            names: in the folder.
            option: that names it.

        Raises:
            OutputError: see ``claim``.
        """
        mark, names = read_mark(folder), list(names)
        there = [folder / name for name in names if (folder / name).exists()]
        for path in (folder / name for name in names):
            self._require_no_input(path, option, inside=True)
        records = {path: _entry(path, mark) for path in there}
        self._require_own(records, option)
        for name in names:
            _append(folder, Record(name, self.writer.purpose, self.writer.made_by))

    @contextmanager
    def writing(self, folder: Path | None = None) -> Iterator[None]:
        """Mark the claimed files while they are written.

        Args:
            folder: of several files, which is held for this process meanwhile.

        Raises:
            OutputError: another process writes to the folder.
        """
        with ExitStack() as stack:
            if folder is not None:
                stack.enter_context(sole_user(folder))
            stack.enter_context(marking(self.writer, self._claimed))
            yield

    def _require_no_input(self, path: Path, option: str, *, inside: bool = False) -> None:
        key, found = _same(path), _stat(path)
        is_input = key in self._inputs or (
            found is not None and (found.st_dev, found.st_ino) in self._nodes
        )
        within = inside and any(other.startswith(key + os.sep) for other in self._inputs)
        if is_input or within:
            raise OutputError(
                f"`{option}` {path}",
                expected="another place than that of what is read",
                found=f"{path.name}, which {'holds' if within else 'is'} an input",
                remedy=f"choose another `{option}`; inputs are never replaced",
            )

    def _require_own(self, records: dict[Path, Record | None], option: str) -> None:
        foreign = [
            path
            for path, record in records.items()
            if record is None or record.purpose != self.writer.purpose
        ]
        among = [path for path in foreign if self._is_among_inputs(path)]
        if among:
            raise OutputError(
                f"`{option}` {among[0].parent}",
                expected="a folder without files of the data set that is read",
                found=_counted(among),
                remedy=f"choose another `{option}`; inputs are never replaced",
            )
        if self.overwrite:
            return
        if foreign:
            raise OutputError(
                f"`{option}` {foreign[0].parent}",
                expected=f"no files but those that `slicewise {self.writer.purpose}` wrote there "
                "and nobody has changed since",
                found=_counted(foreign),
                remedy=f"choose another `{option}`, or replace them with `overwrite`",
            )
        others = {
            path: record
            for path, record in records.items()
            if record is not None and record.made_by != self.writer.made_by
        }
        if others:
            path, record = next(iter(others.items()))
            raise OutputError(
                f"`{option}` {path.parent}",
                expected=f"files of {self.writer.made_by}",
                found=f"{_counted(list(others))}, of {record.made_by}",
                remedy=f"choose another `{option}`, or replace them with `overwrite`",
            )

    def _is_among_inputs(self, path: Path) -> bool:
        key = _same(path)
        return any(key.startswith(folder + os.sep) for folder in self._folders)


@contextmanager
def marking(writer: Writer, paths: Iterable[Path]) -> Iterator[None]:
    """Mark files before they come into their places, so that a kill leaves none unmarked.

    Args:
        writer: who writes.
        paths: of the files.
    """
    places = {_place(path) for path in paths}

    def mark(temporary: Path, path: Path) -> None:
        if _place(path) in places:
            record = Record(path.name, writer.purpose, writer.made_by, sha256_of(temporary))
            _append(path.parent, record)

    with before_rename(mark):
        yield


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
    return _record(path, read_mark(path.parent))


def _record(path: Path, mark: dict[str, list[Record]]) -> Record | None:
    known = [item for item in mark.get(path.name, ()) if item.sha256]
    if not known or path.is_symlink() or not path.is_file():
        return None
    digest = sha256_of(path)
    return next((item for item in reversed(known) if item.sha256 == digest), None)


def _entry(path: Path, mark: dict[str, list[Record]]) -> Record | None:
    known = [item for item in mark.get(path.name, ()) if not item.sha256]
    return known[-1] if known and not path.is_symlink() else None


def _append(folder: Path, record: Record) -> None:
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


def _require_place(path: Path, option: str) -> None:
    """Refuse a folder in the place of a file, and a file in the place of a folder."""
    found = None
    if path.is_dir():
        found = f"a folder called {path.name}"
    else:
        above = next((item for item in path.parents if item.exists()), None)
        if above is not None and not above.is_dir():
            found = f"{above}, which is a file"
    if found is not None:
        raise OutputError(
            f"`{option}` {path}",
            expected="the path of a file in a folder",
            found=found,
            remedy=f"choose another `{option}`",
        )


def _counted(paths: Sequence[Path]) -> str:
    names = ", ".join(path.name for path in paths[:_SHOWN])
    return names if len(paths) <= _SHOWN else f"{len(paths)} files, such as {names}"


def _place(path: Path) -> Path:
    """A path without links above it; a link in its own place is what would be replaced."""
    return path.parent.resolve() / path.name


def _same(path: Path) -> str:
    """Equal for all spellings of a path, on systems where upper and lower case are one, too."""
    return str(path.resolve()).casefold()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
