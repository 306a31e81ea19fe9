"""Searches folders for DICOM volumes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.imaging.dicom.header import scan_headers
from slicewise.imaging.dicom.index import HeaderIndex
from slicewise.imaging.dicom.series import SECONDS_PER_FILE, DicomSeries, series_in
from slicewise.imaging.dicom.slice_header import FileContents, LabelFile, Rejection
from slicewise.imaging.sandbox import ChildDiedError, Sandbox, shared_sandbox
from slicewise.imaging.walk import FileState, Walked, walk
from slicewise.progress import SILENT, Progress

if TYPE_CHECKING:
    from slicewise.imaging.pseudonyms import Pseudonyms

FILES_PER_CALL = 64
CALLS_PER_TURN = 16

Batch = list[FileState]
OTHER_SUFFIXES = (
    *(".nii", ".nii.gz", ".nrrd", ".json", ".csv", ".txt"),
    *(".png", ".jpg", ".jpeg", ".tif"),
)
"""Suffixes of files that are not DICOM; all others are identified by their content."""
_FILES_WORTH_A_BAR = 500
"""Fewer files are read in a moment, without a progress task."""


@dataclass(frozen=True)
class SeriesScan:
    """Volumes and labels in a folder tree.

    Attributes:
        series: the volumes.
        set_aside: errors of unusable files.
        labels: DICOM SEG files.
        others: files that may be DICOM by their name, but are not.
    """

    series: tuple[DicomSeries, ...]
    set_aside: tuple[ScanError, ...]
    labels: tuple[LabelFile, ...] = ()
    others: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DicomScanner:
    """Finds DICOM volumes.

    Files are parsed in child processes and identified by their content: other files are ignored,
    unless their suffix is ``.dcm``, and so are objects without an image, such as reports, and
    ``DICOMDIR``. The files of a series may be in several folders, except for folders that are
    copies of each other.

    Attributes:
        reading: error handling.
        index: file in which headers are stored, so that unchanged files are not parsed again; None
            stores nothing.
        pseudonyms: of the patients; with None, patients are unknown.
        progress: shows long searches.
        sandbox: child processes that parse headers; by default one per core.
    """

    reading: ReadingSection = ReadingSection()
    index: Path | None = None
    pseudonyms: Pseudonyms | None = None
    progress: Progress = SILENT
    sandbox: Sandbox | None = None

    def find(self, path: Path) -> SeriesScan:
        """Find all volumes in a file, or below a folder.

        Raises:
            ScanError: the folder cannot be listed.
            OutputError: the index cannot be written.
        """
        return self.find_among(path, walk(path.absolute()))

    def find_among(self, path: Path, walked: Iterable[Walked]) -> SeriesScan:
        """Find all volumes among the files below a folder.

        Args:
            path: file or folder.
            walked: what ``walk`` found below its absolute path.

        Raises:
            ScanError, OutputError: as ``find``.
        """
        problems: list[ScanError] = []
        with HeaderIndex(self.index) as index:
            root = path.absolute()
            pending = index.outdated(root, _files(root, walked, problems))
            sandbox = self.sandbox or _children_for(pending)
            self._scan(pending, index, sandbox)
            return self._volumes(index, problems, sandbox)

    def _scan(self, pending: int, index: HeaderIndex, sandbox: Sandbox) -> None:
        progress = self.progress if pending >= _FILES_WORTH_A_BAR else SILENT
        done = 0
        # The threads wait for the child processes.
        with (
            ThreadPoolExecutor(sandbox.children) as threads,
            progress.task("reading headers", pending) as task,
        ):
            for files in index.outdated_files(FILES_PER_CALL * CALLS_PER_TURN):
                batches = _batches(files)
                for held in threads.map(partial(_scan_batch, sandbox=sandbox), batches):
                    index.store(held)
                    done += len(held)
                    task.update(done)

    def _volumes(
        self, index: HeaderIndex, problems: list[ScanError], sandbox: Sandbox
    ) -> SeriesScan:
        found: list[DicomSeries] = []
        labels: list[LabelFile] = []
        unreadable: set[Path] = set()
        for series_uid, held in index.by_series():
            labels += [one.labels for one in held if one.labels]
            if not series_uid:
                unreadable |= {one.rejection.path.parent for one in held if one.rejection}
            series, set_aside = series_in(held, self.reading, sandbox)
            patients = {one.path: one.patient_id for file in held for one in file.slices[:1]}
            found += [self._named(one, patients[one.files[0]]) for one in series]
            problems += set_aside
        found = [_warned(one) if _folders(one) & unreadable else one for one in found]
        found.sort(key=lambda one: (one.name, one.series_uid, str(one.folder)))
        return SeriesScan(
            tuple(self._with_unique_names(found)),
            tuple(problems),
            tuple(labels),
            tuple(index.others()),
        )

    def _named(self, series: DicomSeries, patient_id: str) -> DicomSeries:
        if self.pseudonyms is None:
            return series
        patient = self.pseudonyms.name(patient_id) if patient_id.strip() else ""
        name = f"{patient}_{series.name}" if patient else series.name
        return replace(series, patient=patient, name=name)

    def _with_unique_names(self, found: Sequence[DicomSeries]) -> Iterator[DicomSeries]:
        """Add a suffix to series with equal names, such as of two studies of a patient."""
        counts = Counter(one.name for one in found)
        for one in found:
            if self.pseudonyms is None or counts[one.name] == 1:
                yield one
            else:
                suffix = self.pseudonyms.name(one.series_uid)[1:7]
                yield replace(one, name=f"{one.name}_{suffix}")


def _children_for(files: int) -> Sandbox:
    """Child processes, which are reused by the next search; one is sufficient for few files."""
    children = min(len(os.sched_getaffinity(0)), files // FILES_PER_CALL)
    return shared_sandbox(len(os.sched_getaffinity(0))) if children > 1 else shared_sandbox()


def _files(root: Path, walked: Iterable[Walked], problems: list[ScanError]) -> Iterator[FileState]:
    for item in walked:
        if isinstance(item, FileState):
            if not _is_other(item.path.name.lower()):
                yield item
        elif isinstance(item, ScanError):
            if item.where == str(root):
                raise item
            problems.append(item)


def _is_other(name: str) -> bool:
    return name == "dicomdir" or name.endswith(OTHER_SUFFIXES)


def _batches(files: Batch) -> list[Batch]:
    return [files[start : start + FILES_PER_CALL] for start in range(0, len(files), FILES_PER_CALL)]


def _scan_batch(batch: Batch, sandbox: Sandbox) -> list[tuple[FileState, FileContents]]:
    paths = [file.path for file in batch]
    try:
        held = sandbox.call(scan_headers, paths, where=paths[0], timeout_seconds=SECONDS_PER_FILE)
    except ChildDiedError as error:
        if len(batch) == 1:
            rejection = Rejection.of(paths[0], error, may_pass=True)
            return [(batch[0], FileContents(rejection=rejection))]
    else:
        return list(zip(batch, held, strict=True))
    # One malicious file must not make the others fail.
    return [found for file in batch for found in _scan_batch([file], sandbox)]


def _folders(series: DicomSeries) -> set[Path]:
    return {path.parent for path in series.files}


def _warned(series: DicomSeries) -> DicomSeries:
    text = "the folder has unreadable files: slices may be missing at an end"
    return replace(series, warnings=(*series.warnings, text))
