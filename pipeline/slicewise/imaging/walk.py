"""Finds the files below a folder; the only walker of folders of scans.

Hidden files and leftovers of operating systems are skipped; pipes and devices are not opened.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import ScanError, file_problem, printable
from slicewise.quantities import counted

_LEFTOVERS = ("thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "$recycle.bin")
_DOCUMENT_SUFFIXES = (
    *(".json", ".jsonl", ".csv", ".tsv", ".txt", ".md", ".rst", ".html", ".htm", ".xml"),
    *(".yaml", ".yml", ".toml", ".log", ".bval", ".bvec"),
    *(".ctbl", ".py", ".sh", ".ipynb", ".sqlite", ".md5", ".sha256", ".lnk", ".part"),
)
"""Suffixes of files that belong to data sets and that nobody expects to be read as a scan."""
_DOCUMENT_NAMES = ("dicomdir", "readme", "license", "licence", "changes", "copying", "version")
_NAMED_SUFFIXES = (
    *(".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".raw", ".hdr", ".img", ".mgz", ".mgh"),
    *(".nii.gz", ".nii", ".nii.zip", ".mnc", ".par", ".rec", ".brik", ".head", ".dcm", ".ima"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".avi", ".mp4"),
    *(".npy", ".npz", ".mat", ".h5", ".hdf5", ".vtk", ".vti", ".stl", ".obj", ".pt", ".pkl"),
    *(".doc", ".docx", ".odt", ".rtf", ".xls", ".xlsx", ".ods", ".ppt", ".pptx", ".pdf"),
    *(".zip", ".tar.gz", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"),
)
"""Suffixes that messages may name; anything else after a dot may be the name of a patient."""


@dataclass(frozen=True, slots=True)
class FileState:
    """A file, with its size and modification time to detect changes."""

    path: Path
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class SpecialFile:
    """What is neither a file nor a folder, such as a pipe; to open it could take forever."""

    path: Path


Walked = FileState | SpecialFile | ScanError


def walk(root: Path) -> Iterator[Walked]:
    """Yield every file, in any order, and an error for everything that cannot be opened.

    Links to folders are followed, except to folders that are searched anyway.
    """
    # Links come last, so that a folder is found under its own name.
    waiting, links, searched = [root], deque[Path](), set[tuple[int, int]]()
    while waiting or links:
        path = waiting.pop() if waiting else links.popleft()
        try:
            state = path.stat()
            place = state.st_dev, state.st_ino
            if stat.S_ISDIR(state.st_mode) and place not in searched:
                searched.add(place)
                inside = _inside(path)
                links += [entry for entry in inside if entry.is_symlink()]
                # A stack: the last is searched first.
                waiting += [entry for entry in inside[::-1] if not entry.is_symlink()]
            elif stat.S_ISREG(state.st_mode):
                yield FileState(path, state.st_size, state.st_mtime_ns)
            elif not stat.S_ISDIR(state.st_mode):
                yield SpecialFile(path)
        except OSError as error:
            yield cannot_open(path, error)


def entries(folder: Path) -> Iterator[Path | SpecialFile | ScanError]:
    """Yield the files and folders directly in a folder, by name, and errors as ``walk``."""
    try:
        inside = _inside(folder)
    except OSError as error:
        yield cannot_open(folder, error)
        return
    for path in inside:
        try:
            mode = path.stat().st_mode
            yield path if stat.S_ISDIR(mode) or stat.S_ISREG(mode) else SpecialFile(path)
        except OSError as error:
            yield cannot_open(path, error)


def _inside(folder: Path) -> list[Path]:
    names = (entry.name for entry in os.scandir(folder))
    return sorted(folder / name for name in names if not _is_leftover(name))


def _is_leftover(name: str) -> bool:
    # Files of macOS begin with a dot, too.
    return name.startswith(".") or name.lower() in _LEFTOVERS


def cannot_open(path: Path, error: OSError) -> ScanError:
    """The error for a file or folder that cannot be opened."""
    return ScanError(
        path,
        expected="a readable file or folder",
        found=file_problem(error),
        remedy="correct its permissions, restore it, or remove the broken link",
    )


def unusable_name(path: Path, below: Path | None = None) -> ScanError | None:
    """The error for a path that cannot be the name of a case; None for any other path.

    Line breaks and control characters are refused only in the names of cases.

    Args:
        path: of a file or folder.
        below: folder from which the name of the case is formed; None takes the whole path.
    """
    name = str(path if below is None else path.relative_to(below))
    try:
        name.encode()
    except UnicodeEncodeError:
        return ScanError(
            printable(str(path)),
            expected="a name in UTF-8, because it is written to tables and results",
            found=f"bytes of another encoding: {printable(name)}",
            remedy="rename it, for example with: convmv -r -f latin1 -t utf8 --notest FOLDER",
        )
    if below is not None and printable(name) != name:
        return ScanError(
            printable(str(path)),
            expected="a name without line breaks and control characters, because it is written "
            "to tables and results",
            found=printable(name),
            remedy="rename it",
        )
    return None


def not_read(files: Iterable[Path | SpecialFile]) -> str:
    """Files that are no scans, counted by suffix, for a message.

    What belongs to data sets, such as tables and read-me files, is left out.

    Returns:
        Such as ``14 files .mha and 1 file of unknown suffix``; empty if there are none.
    """
    files = list(files)
    special = sum(isinstance(item, SpecialFile) for item in files)
    names = [item.name for item in files if isinstance(item, Path)]
    counts = Counter(_suffix(name) for name in names if not _is_document(name))
    ordered = sorted(counts.items(), key=lambda item: (not item[0], -item[1], item[0]))
    texts = [
        f"{count} {'file' if count == 1 else 'files'} {suffix or 'of unknown suffix'}"
        for suffix, count in ordered
    ]
    if special:
        texts.append(f"{counted(special, 'special file')} (pipes or devices)")
    *first, last = texts or [""]
    return f"{', '.join(first)} and {last}" if first else last


def _suffix(name: str) -> str:
    lower = name.lower()
    return next((suffix for suffix in _NAMED_SUFFIXES if lower.endswith(suffix)), "")


def _is_document(name: str) -> bool:
    return name.lower().endswith(_DOCUMENT_SUFFIXES) or name.lower() in _DOCUMENT_NAMES
