"""How commands search for scans: with the index and the pseudonyms of their work folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.progress import TaskID

from slicewise.cli.console import progress_bar
from slicewise.config import ReadingSection
from slicewise.errors import UsageError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.files import private_folder
from slicewise.imaging.pseudonyms import Pseudonyms

_PRIVATE = "private"
_FILES_WORTH_A_BAR = 500


def pseudonyms_of(work: Path) -> Pseudonyms:
    """The names of patients in a work folder: the same in every run, told by its key alone."""
    return Pseudonyms.of(private_folder(work / _PRIVATE))


def require_outside(source: Path, folders: Mapping[str, Path]) -> None:
    """Refuse to write into the input.

    Args:
        source: a file, or a folder of scans.
        folders: option to the folder that it names.

    Raises:
        UsageError: a folder lies inside of the source.
    """
    for option, folder in folders.items():
        if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
            raise UsageError(
                f"{option} {folder}",
                expected="a folder outside of the input",
                found=f"one inside of {source}",
                remedy=f"choose another folder with {option}",
            )


@contextmanager
def scanning(work: Path, reading: ReadingSection) -> Iterator[DicomScanner]:
    """A scanner that remembers headers in the work folder; a bar counts long searches."""
    folder = private_folder(work / _PRIVATE)
    with progress_bar() as bar:
        tasks: list[TaskID] = []

        def show(done: int, total: int) -> None:
            if total < _FILES_WORTH_A_BAR:
                return
            if not tasks:
                tasks.append(bar.add_task("reading headers", total=total, detail=""))
            bar.update(tasks[0], completed=done)

        index = folder / "dicom-headers.sqlite"
        yield DicomScanner(reading, index, pseudonyms_of(work), show)
