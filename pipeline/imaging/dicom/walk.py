"""A path in, the files below it that may be DICOM out; links are followed once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ScanError, file_problem

OTHER_SUFFIXES = (".nii", ".nii.gz", ".json", ".csv", ".txt", ".png", ".jpg", ".jpeg", ".tif")
"""Of files that are certainly no DICOM; all others are known by their content."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file, and by what a change of it is noticed."""

    path: Path
    size: int
    modified_ns: int


def walk(root: Path) -> Iterator[FileState | ScanError]:
    """Every file that may be DICOM, in no promised order, and what cannot be opened.

    Hidden files and folders, ``DICOMDIR`` and what is no regular file (opening a pipe may never
    end) are left out. A link to a folder is followed unless that folder is searched anyway.
    """
    if not root.is_dir():
        yield from _states([root])
        return
    waiting, searched = [root], set[tuple[int, int]]()
    while waiting:
        folder = waiting.pop()
        try:
            place = folder.stat()
            if (place.st_dev, place.st_ino) in searched:
                continue
            searched.add((place.st_dev, place.st_ino))
            entries = sorted(entry.name for entry in os.scandir(folder))
        except OSError as error:
            yield cannot_open(folder, error)
            continue
        paths = [folder / name for name in entries if not name.startswith(".")]
        # Links come last: a folder is found by its own name rather than by a link to it.
        folders = sorted((path for path in paths if path.is_dir()), key=Path.is_symlink)
        waiting[:0] = folders[::-1]
        yield from _states(path for path in paths if path not in set(folders))


def _states(paths: Iterator[Path] | list[Path]) -> Iterator[FileState | ScanError]:
    for path in paths:
        if path.name.upper() == "DICOMDIR" or path.name.lower().endswith(OTHER_SUFFIXES):
            continue
        try:
            state = path.stat()
        except OSError as error:
            yield cannot_open(path, error)
            continue
        if stat.S_ISREG(state.st_mode):
            yield FileState(path, state.st_size, state.st_mtime_ns)


def cannot_open(path: Path, error: OSError) -> ScanError:
    """The error about a file or folder that the system does not open."""
    return ScanError(
        path,
        expected="a file or folder that can be read",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or remove the broken link",
    )
