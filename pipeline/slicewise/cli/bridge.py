"""What the commands that have no use case of their own yet share; goes with the last of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from slicewise import progress
from slicewise.cli.console import PROGRESS
from slicewise.config import Config, ReadingSection
from slicewise.dataset.cache import Prepared
from slicewise.dataset.catalogue import Catalogue, SetAside
from slicewise.dataset.work_folder import WorkFolder
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.workflows import messages

Item = TypeVar("Item")


def tracked(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Pass items on while a bar counts them."""
    return progress.tracked(items, PROGRESS, description, total)


def report_set_aside(items: Sequence[SetAside], quarantine: Path | None = None) -> None:
    """Name the scans that the work goes on without."""
    messages.report_set_aside(PROGRESS, items, quarantine)


def report_warnings(noticed: Mapping[str, Sequence[str]]) -> None:
    """Report what was noticed when scans were read."""
    messages.report_warnings(PROGRESS, noticed)


def quarantined(items: Sequence[SetAside], work: Path, command: str) -> Path:
    """Write the private list of scans that a command set aside."""
    return WorkFolder(work).write_quarantine(command, items)


def pseudonyms_of(work: Path) -> Pseudonyms:
    """The pseudonyms of a work folder."""
    return WorkFolder(work).pseudonyms


@contextmanager
def scanning(work: Path, reading: ReadingSection) -> Iterator[DicomScanner]:
    """A scanner that remembers headers in the work folder."""
    yield WorkFolder(work).scanner(reading, PROGRESS)


def prepared_slices(config: Config, work: Path, workers: int | None) -> tuple[Catalogue, Prepared]:
    """Catalogue and slice cache of a configuration."""
    from slicewise.workflows.prepare import PrepareOptions, prepare_data

    data = prepare_data(PrepareOptions(config, work, workers), PROGRESS)
    return data.catalogue, data.prepared
