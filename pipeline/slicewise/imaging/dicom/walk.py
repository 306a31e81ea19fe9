"""Finds the files below a folder that may be DICOM."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import ScanError, file_problem

OTHER_SUFFIXES = (".nii", ".nii.gz", ".json", ".csv", ".txt", ".png", ".jpg", ".jpeg", ".tif")
"""Suffixes of files that are not DICOM; all others are identified by their content."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file, with its size and modification time to detect changes."""

    path: Path
    size: int
    modified_ns: int


def walk(root: Path) -> Iterator[FileState | ScanError]:
    """Yield every file that may be DICOM, in any order, and errors of those that cannot be opened.

    Hidden files and folders, ``DICOMDIR`` and special files such as pipes are skipped. Links to
    folders are followed, except to folders that are searched anyway.
    """
    waiting, searched = [root], set[tuple[int, int]]()
    while waiting:
        path = waiting.pop()
        if path.name.startswith(".") and path != root:
            continue
        try:
            state = path.stat()
            place = state.st_dev, state.st_ino
            if stat.S_ISDIR(state.st_mode) and place not in searched:
                searched.add(place)
                # A stack: the last is searched first. Links come last, so that a folder is found
                # under its own name.
                inside = sorted(path / entry.name for entry in os.scandir(path))
                waiting[:0] = [entry for entry in inside[::-1] if entry.is_symlink()]
                waiting += [entry for entry in inside[::-1] if not entry.is_symlink()]
            elif stat.S_ISREG(state.st_mode) and not _is_other(path):
                yield FileState(path, state.st_size, state.st_mtime_ns)
        except OSError as error:
            yield cannot_open(path, error)


def _is_other(path: Path) -> bool:
    name = path.name.lower()
    return name == "dicomdir" or name.endswith(OTHER_SUFFIXES)


def cannot_open(path: Path, error: OSError) -> ScanError:
    """The error for a file or folder that cannot be opened."""
    return ScanError(
        path,
        expected="a readable file or folder",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or remove the broken link",
    )
