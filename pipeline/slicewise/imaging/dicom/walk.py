"""A path in, the files below it that may be DICOM out; links are followed once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import ScanError, file_problem

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
                # The last one is taken first. Links wait: a folder is found by its own name
                # rather than by a link to it.
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
    """The error about a file or folder that the system does not open."""
    return ScanError(
        path,
        expected="a file or folder that can be read",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or remove the broken link",
    )
