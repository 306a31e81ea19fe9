"""Atomic files: written next to their place, flushed to disk, then renamed into it."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import math
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from slicewise.errors import OutputError, file_problem
from slicewise.quantities import data_size

BeforeRename = Callable[[Path, Path], None]
"""Is handed the complete temporary file, and the path that it is about to get."""
_before_rename: list[BeforeRename] = []
_tidied: set[Path] = set()
"""Folders without temporary files of killed processes."""


@contextmanager
def before_rename(action: BeforeRename) -> Iterator[None]:
    """Do something for each file of this process that is complete, before it is in its place."""
    _before_rename.append(action)
    try:
        yield
    finally:
        _before_rename.remove(action)


def part_prefix(folder: Path) -> str:
    """Begins the names of temporary files and folders of this process.

    Those that killed processes of this machine have left in the folder are removed first.
    """
    if folder not in _tidied:
        _tidied.add(folder)
        _remove_left_parts(folder)
    return f".{platform.node()}.{os.getpid()}."


@contextmanager
def temporary_folder(prefix: str = "slicewise-") -> Iterator[Path]:
    """A folder for files that nobody needs afterwards.

    Where it cannot be removed, it stays: another thread may still write into it when the process
    ends.

    Raises:
        OSError: it cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def part_folder(parent: Path) -> Iterator[Path]:
    """A temporary folder in another one, from where its content is moved to where it belongs.

    Raises:
        OSError: it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    prefix = part_prefix(parent)
    with tempfile.TemporaryDirectory(
        prefix=prefix, suffix=".part", dir=parent, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def _remove_left_parts(folder: Path) -> None:
    pattern = re.compile(rf"\.{re.escape(platform.node())}\.(\d+)\..*\.part(\.|$)")
    for path in folder.iterdir():
        known = pattern.match(path.name)
        if known is None or psutil.pid_exists(int(known.group(1))):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def atomic_file(
    path: Path, *, private: bool = False, size_bytes: int | None = None
) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; rename it into place when the block succeeds.

    The temporary name keeps the suffix of ``path``, because writers choose the format by it.

    Args:
        path: of the file.
        private: readable by its owner alone.
        size_bytes: of the complete file, where it is known before.

    Raises:
        OutputError: the folder cannot be created or written; at a full disk with the bytes needed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = ".nii.gz" if path.name.lower().endswith(".nii.gz") else path.suffix
        prefix = part_prefix(path.parent)
        handle, name = tempfile.mkstemp(f".part{suffix}", prefix, path.parent)
        os.close(handle)
    except OSError as error:
        if _is_full_disk(error):
            raise no_room(path, size_bytes) from error
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if not private:
            # mkstemp creates private files; other files get permissions according to the umask.
            temporary.chmod(0o666 & ~_umask())
        for action in _before_rename:
            action(temporary, path)
        temporary.replace(path)
    except OSError as error:
        if _is_full_disk(error):
            # What was written is all that is known of a file that grows while it is made.
            raise no_room(path, size_bytes or temporary.stat().st_size) from error
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, private: bool = False) -> None:
    """Write a text file atomically; only its owner can read a private one."""
    content = text.encode()
    with atomic_file(path, private=private, size_bytes=len(content)) as temporary:
        temporary.write_bytes(content)


def write_parts(path: Path, parts: Iterable[str], *, private: bool = False) -> None:
    """Write a text file atomically, part by part, so that it is never in memory as a whole."""
    with (
        atomic_file(path, private=private) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.writelines(parts)


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, digits: int = 6
) -> None:
    """Write a table as CSV, atomically.

    Args:
        path: of the file.
        columns: names of the columns.
        rows: a cell for each column. None and NaN are undefined: an empty cell. A truth value is
            ``yes`` or ``no``.
        digits: significant digits of floating-point numbers.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        assert len(row) == len(columns), row
        writer.writerow([_cell(value, digits) for value in row])
    write_text(path, text.getvalue())


def _cell(value: object, digits: int) -> object:
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return "" if math.isnan(value) else f"{value:.{digits}g}"
    return value


def private_folder(path: Path) -> Path:
    """Create a folder that only its owner can read, for names of patients and source paths."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return path


def sha256_of(path: Path) -> str:
    """Checksum of a file's bytes; of a folder, of its files in the order of their names."""
    if path.is_dir():
        digest = hashlib.sha256()
        for member in sorted(item for item in path.rglob("*") if item.is_file()):
            digest.update(sha256_of(member).encode())
        return digest.hexdigest()
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _umask() -> int:
    # The umask can only be read by setting it.
    current = os.umask(0)
    os.umask(current)
    return current


def no_room(path: Path, size_bytes: int | None) -> OutputError:
    """The error for a file that does not fit onto its disk.

    Args:
        path: of the file.
        size_bytes: of the file, at least; None where nothing is known of it.
    """
    needed = f"at least {data_size(size_bytes)}" if size_bytes else "the file"
    place = next(parent for parent in path.absolute().parents if parent.exists())
    free = data_size(shutil.disk_usage(place).free)
    return OutputError(
        path,
        expected=f"room for {needed}",
        found=f"{os.strerror(errno.ENOSPC)}: {free} are free in {place}",
        remedy="free space, or choose another folder; what is finished is kept",
    )


def _is_full_disk(error: OSError) -> bool:
    return file_problem(error) in (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        path,
        expected="a writable path",
        found=file_problem(error),
        remedy="choose another folder, free space, or correct its permissions",
    )
