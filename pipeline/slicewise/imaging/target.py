"""What a command may write, and where."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from slicewise.errors import OutputError, UsageError
from slicewise.imaging.locking import sole_user
from slicewise.imaging.mark import (
    Record,
    Writer,
    append_record,
    entry_of,
    marking,
    place_of,
    read_mark,
    record_in,
    some_of,
)

SUFFIXES: Mapping[str, tuple[str, ...]] = {"json": (".json",), "html": (".html", ".htm")}
"""Option to the endings of the file that it names, where these are the same in all commands."""


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
        self._inputs: set[str] = set()
        self._folders: set[str] = set()
        self._nodes: set[tuple[int, int]] = set()
        self.protect(inputs)
        self._claimed: set[Path] = set()
        self._entries: list[tuple[Path, str]] = []

    def protect(self, inputs: Iterable[Path]) -> None:
        """Add files and folders that are read."""
        for path in inputs:
            key, found = _same(path), _stat(path)
            self._inputs.add(key)
            if found is not None:
                self._nodes.add((found.st_dev, found.st_ino))
            if path.is_dir():
                self._folders.add(key)

    def claim(self, paths: Iterable[Path], option: str = "out") -> None:
        """Require that files may be written, before any work is done.

        Args:
            paths: of the files.
            option: that names them.

        Raises:
            UsageError: an input would be replaced.
            OutputError: a file of others would be replaced, or a folder is in the way.
        """
        paths = list(paths)
        for path in paths:
            self._require_no_input(path, option)
            _require_place(path, option)
        marks = {folder: read_mark(folder) for folder in {path.parent for path in paths}}
        there = [path for path in paths if path.exists() or path.is_symlink()]
        records = {path: record_in(path, marks[path.parent]) for path in there}
        self._require_own(records, option)
        self._claimed.update(map(place_of, paths))

    def claim_entries(self, folder: Path, names: Iterable[str], option: str = "out") -> None:
        """Require that files and folders of a folder may be written, whatever they will hold.

        Their content is not followed: whoever may write there may replace it.

        Args:
            folder: of a run.
            names: in the folder.
            option: that names it.

        Raises:
            UsageError, OutputError: see ``claim``.
        """
        require_writable(folder, option)
        mark, names = read_mark(folder), list(names)
        there = [folder / name for name in names if (folder / name).exists()]
        for path in (folder / name for name in names):
            self._require_no_input(path, option, inside=True)
        records = {path: entry_of(path, mark) for path in there}
        self._require_own(records, option)
        self._entries += [(folder, name) for name in names]

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
            for place, name in self._entries:
                append_record(place, Record(name, self.writer.purpose, self.writer.made_by))
            stack.enter_context(marking(self.writer, self._claimed))
            yield

    def _require_no_input(self, path: Path, option: str, *, inside: bool = False) -> None:
        key, found = _same(path), _stat(path)
        is_input = key in self._inputs or (
            found is not None and (found.st_dev, found.st_ino) in self._nodes
        )
        within = inside and any(other.startswith(key + os.sep) for other in self._inputs)
        if is_input or within:
            raise UsageError(
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
            raise UsageError(
                f"`{option}` {among[0].parent}",
                expected="a folder without files of the data set that is read",
                found=some_of(among),
                remedy=f"choose another `{option}`; inputs are never replaced",
            )
        if self.overwrite:
            return
        if foreign:
            raise OutputError(
                f"`{option}` {foreign[0].parent}",
                expected=f"no files but those that `slicewise {self.writer.purpose}` wrote there "
                "and nobody has changed since",
                found=some_of(foreign),
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
                found=f"{some_of(list(others))}, of {record.made_by}",
                remedy=f"choose another `{option}`, or replace them with `overwrite`",
            )

    def _is_among_inputs(self, path: Path) -> bool:
        key = _same(path)
        return any(key.startswith(folder + os.sep) for folder in self._folders)


@contextmanager
def outputs(
    purpose: str,
    files: Mapping[str, Iterable[Path]],
    *,
    folder: Path | None = None,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    suffixes: Mapping[str, tuple[str, ...]] = {},
) -> Iterator[None]:
    """Write the files of a command, none of which replaces one of others.

    Args:
        purpose: the command.
        files: option to the files that it names.
        folder: of several files, which is held for this process meanwhile.
        overwrite: replace files of others.
        inputs: files and folders that are read.
        suffixes: option to the endings of its files, besides ``SUFFIXES``.

    Raises:
        UsageError: a file has another ending.
        UsageError, OutputError: see ``Target``.
    """
    files = {option: tuple(paths) for option, paths in files.items()}
    for option, paths in files.items():
        for path in paths:
            _require_suffix(path, option, {**SUFFIXES, **suffixes}.get(option))
    target = Target(Writer(purpose), overwrite=overwrite, inputs=inputs)
    for option, paths in files.items():
        target.claim(paths, option)
    with target.writing(folder):
        yield


def given(path: Path | None) -> tuple[Path, ...]:
    """The file of an option, where one is given."""
    return () if path is None else (path,)


def _require_suffix(path: Path, option: str, suffixes: tuple[str, ...] | None) -> None:
    """Refuse the name of another kind of file, which nothing would open."""
    if suffixes is None or path.name.lower().endswith(suffixes):
        return
    raise UsageError(
        f"`{option}` {path}",
        expected=f"a name that ends in {' or '.join(suffixes)}",
        found=path.name,
        remedy=f"name the file {Path(path.name).stem or path.name}{suffixes[0]}, for example",
    )


def _require_place(path: Path, option: str) -> None:
    """Refuse a folder in the place of a file, and a file in the place of a folder."""
    found = None
    above = next((item for item in path.parents if item.exists()), None)
    if path.is_dir():
        found = f"a folder called {path.name}"
    elif above is not None and not above.is_dir():
        found = f"{above}, which is a file"
    if found is not None:
        raise OutputError(
            f"`{option}` {path}",
            expected="the path of a file in a folder",
            found=found,
            remedy=f"choose another `{option}`",
        )
    require_writable(path.parent, option)


def require_writable(folder: Path, option: str) -> None:
    """Refuse a folder of others before the work for it, not after.

    Args:
        folder: it may not exist yet.
        option: that names it, or a folder above it.

    Raises:
        OutputError: this user cannot write there.
    """
    above = next((item for item in (folder, *folder.parents) if item.is_dir()), None)
    effective = os.access in os.supports_effective_ids
    if above and not os.access(above, os.W_OK | os.X_OK, effective_ids=effective):
        raise OutputError(
            f"`{option}` {above}",
            expected="a folder that this user can write to",
            found=os.strerror(errno.EACCES),
            remedy=f"choose another `{option}`, or correct its permissions",
        )


def _same(path: Path) -> str:
    """Equal for all spellings of a path, on systems where upper and lower case are one, too."""
    return str(path.resolve()).casefold()


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
