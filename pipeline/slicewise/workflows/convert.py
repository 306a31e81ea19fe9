"""Converts scans of any format to NIfTI, with how each was acquired as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import ReadingSection
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.work_folder import WorkFolder, require_outside
from slicewise.dataset.workers import chosen_workers, run_on_scans
from slicewise.errors import ScanError, UsageError
from slicewise.imaging.conversion import Conversion, ConvertedVolume, conversions, convert_scan
from slicewise.imaging.files import write_text
from slicewise.imaging.scan_search import FoundScans, find_scans
from slicewise.imaging.target import given, outputs
from slicewise.interruption import SignalReceived
from slicewise.progress import SILENT, Progress, tracked
from slicewise.quantities import counted
from slicewise.workflows.messages import report_notes, report_set_aside, report_warnings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ConvertOptions:
    """What to convert.

    Attributes:
        source: a scan, a folder of scans or of DICOM.
        out: folder of ``NAME.nii.gz`` and ``NAME.json``.
        reading: how unusual scans are read.
        json: file of the table of volumes to write.
        overwrite: replace files of an earlier conversion.
        work: folder of private records.
        workers: scans at a time, or the address of a Dask cluster; None takes as many as
            there are cores.
    """

    source: Path
    out: Path
    reading: ReadingSection = ReadingSection()
    json: Path | None = None
    overwrite: bool = False
    work: Path = Path("work")
    workers: int | str | None = None


@dataclass(frozen=True)
class ConvertResult:
    """Volumes that were written.

    Attributes:
        volumes: a row each, in the order of their names.
        folder: of ``NAME.nii.gz`` and ``NAME.json``, with the names of the volumes.
        set_aside: what could not be converted, each with its reason.
        labels_left_alone: DICOM SEG objects, which are no scans.
        json: the table of volumes, where one was written.
    """

    volumes: tuple[ConvertedVolume, ...]
    folder: Path
    set_aside: tuple[SetAside, ...]
    labels_left_alone: int
    json: Path | None

    @property
    def table(self) -> pd.DataFrame:
        """One row per volume: its file, geometry, type, and what was noticed."""
        import pandas as pd

        columns = {
            "name": [volume.name for volume in self.volumes],
            "path": [self.folder / f"{volume.name}.nii.gz" for volume in self.volumes],
            "shape": [volume.shape for volume in self.volumes],
            "spacing_mm": [volume.spacing_mm for volume in self.volumes],
            "orientation": [volume.orientation for volume in self.volumes],
            "voxel_type": [volume.voxel_type for volume in self.volumes],
            "files": [volume.files for volume in self.volumes],
            "volumes_together": [volume.volumes_together for volume in self.volumes],
            "warnings": ["; ".join(volume.warnings) for volume in self.volumes],
        }
        return pd.DataFrame(columns).set_index("name")


def convert(options: ConvertOptions, progress: Progress = SILENT) -> ConvertResult:
    """Write every volume of a file or folder as NIfTI, with its acquisition facts next to it.

    Raises:
        UsageError: results would lie in the input or replace files.
        ScanError: no scan at all.
        OutputError: a file cannot be written.
    """
    work = WorkFolder(options.work)
    require_outside(options.source, {"out": options.out, "work": options.work})
    found = find_scans(options.source, work.scanner(options.reading, progress))
    tasks = conversions(found.sources, options.out, options.reading)
    if not options.overwrite:
        _require_nothing_there(tasks, options.out)
    files = {
        "out": [target for task in tasks for target in task.targets],
        "json": given(options.json),
    }
    writing = outputs(
        "convert", files, folder=options.out, overwrite=options.overwrite, inputs=[options.source]
    )
    with writing:
        try:
            return _converted(options, found, tasks, progress)
        except SignalReceived as received:
            received.go_on_with(
                options.out, "what is finished is kept; give the command again with `overwrite`"
            )
            raise


def _converted(
    options: ConvertOptions, found: FoundScans, tasks: Sequence[Conversion], progress: Progress
) -> ConvertResult:
    work = WorkFolder(options.work)
    volumes: list[ConvertedVolume] = []
    set_aside = [
        SetAside.from_error(f"dicom-{number}", error)
        for number, error in enumerate(found.set_aside, start=1)
    ]
    done = run_on_scans(convert_scan, tasks, chosen_workers(options.workers))
    for task, result in tracked(done, progress, "converting", len(tasks)):
        if isinstance(result, ScanError):
            set_aside.append(SetAside.from_error(task.name, result))
        else:
            volumes.append(result)
    volumes.sort(key=lambda volume: volume.name)
    report_warnings(progress, {volume.name: volume.warnings for volume in volumes})
    report_notes(progress, found.notes)
    report_set_aside(progress, set_aside, work.write_quarantine("convert", set_aside))
    if options.json is not None:
        _write_table(options.json, volumes, set_aside)
    labels = len(found.labels) + len(found.loose_labels)
    return ConvertResult(tuple(volumes), options.out, tuple(set_aside), labels, options.json)


def _require_nothing_there(tasks: Sequence[Conversion], out: Path) -> None:
    there = [target for task in tasks for target in task.targets if target.exists()]
    if there:
        raise UsageError(
            f"`out` {out}",
            expected="no files of these names",
            found=f"{counted(len(there), 'file')}, such as {there[0].relative_to(out)}",
            remedy="choose another folder, or replace them with `overwrite`",
        )


def _write_table(
    path: Path, volumes: Sequence[ConvertedVolume], set_aside: Sequence[SetAside]
) -> None:
    content = {
        "volumes": [asdict(volume) for volume in volumes],
        "set_aside": [
            {"name": item.name, "reason": item.reason, "remedy": item.remedy} for item in set_aside
        ],
    }
    write_text(path, json.dumps(content, indent=2) + "\n")
