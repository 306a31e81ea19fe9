"""The work folder: slice cache, tracking store, and the private records that never leave it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from slicewise.config import ReadingSection
from slicewise.dataset.catalogue import SetAside
from slicewise.errors import UsageError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.files import private_folder, write_parts
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.target import require_writable
from slicewise.progress import SILENT, Progress

_HEADER_INDEX = "dicom-headers.sqlite"


@dataclass(frozen=True)
class WorkFolder:
    """Folder in which Slicewise stores what it derives from scans.

    Attributes:
        path: of the folder; created when something is written.
    """

    path: Path

    @property
    def private(self) -> Path:
        """Folder of files that may name patients; only its owner can read it."""
        folder = self.path / "private"
        require_writable(folder, "work")
        return private_folder(folder)

    @property
    def pseudonyms(self) -> Pseudonyms:
        """Names of patients: the same in every run, derived with the key of this folder."""
        return Pseudonyms.of(self.private)

    @property
    def mask_sources(self) -> Path:
        """Private record of the scan that each mask was made from."""
        return self.path / "predictions" / "sources.jsonl"

    def scanner(self, reading: ReadingSection, progress: Progress = SILENT) -> DicomScanner:
        """A scanner of folders that remembers the DICOM headers it has read.

        Args:
            reading: error handling.
            progress: shows long searches.
        """
        return DicomScanner(reading, self.private / _HEADER_INDEX, self.pseudonyms, progress)

    def write_quarantine(self, command: str, items: Sequence[SetAside]) -> Path:
        """Write the private list of scans that a command set aside, and return its path.

        Raises:
            OutputError: the file cannot be written.
        """
        path = private_folder(self.path / command) / "quarantine.jsonl"
        lines = (json.dumps(asdict(item)) + "\n" for item in items)
        write_parts(path, lines, private=True)
        return path


def require_outside(source: Path, folders: Mapping[str, Path]) -> None:
    """Require that no output folder is inside of the input.

    Args:
        source: a file, or a folder of scans.
        folders: option to the folder that it names.

    Raises:
        UsageError: a folder is inside of the source.
    """
    for option, folder in folders.items():
        if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
            raise UsageError(
                f"`{option}` {folder}",
                expected="a folder outside of the input",
                found=f"one inside of {source}",
                remedy=f"choose another `{option}`",
            )
