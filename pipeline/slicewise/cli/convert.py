"""``slicewise convert``: DICOM, NIfTI and pictures in, checked NIfTI with acquisition facts out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.cli.converting_run import ConversionTask, Converted
    from slicewise.config import ReadingSection
    from slicewise.dataset.catalogue import SetAside
    from slicewise.imaging.scan import FoundScans

_MOST_ROWS = 40


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Scan, folder of scans or DICOM.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of NAME.nii.gz and NAME.json.")
    ],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the table as JSON.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of an earlier conversion.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Write every volume of a file or folder as NIfTI, with how it was acquired as JSON.

    The JSON has BIDS names and nothing that tells who was scanned. Exit code 8: some files were
    set aside; why, and where they lie, stands in WORK/convert/quarantine.jsonl, for you alone.

    Examples:
      slicewise convert dicom_folder --out nifti

      slicewise convert dicom_folder --out nifti --set reading.irregular_slices=resample
    """
    from slicewise.cli.bridge import (
        quarantined,
        report_set_aside,
        report_warnings,
        scanning,
        tracked,
    )
    from slicewise.cli.converting_run import conversion_tasks, convert_scans
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.dataset.catalogue import SetAside
    from slicewise.dataset.work_folder import require_outside
    from slicewise.dataset.worker_pool import default_workers
    from slicewise.errors import ScanError
    from slicewise.imaging.scan import find_scans

    reading = _reading(overrides or [])
    require_outside(source, {"--out": out, "--work": work})
    with scanning(work, reading) as scanner:
        found = find_scans(source, scanner)
    tasks = conversion_tasks(found.sources, out, reading)
    if not overwrite:
        _require_nothing_there(tasks, out)
    rows: list[Converted] = []
    set_aside = [
        SetAside.from_error(f"dicom-{number}", error)
        for number, error in enumerate(found.set_aside, start=1)
    ]
    done = convert_scans(tasks, workers or default_workers())
    for task, result in tracked(done, "converting", len(tasks)):
        if isinstance(result, ScanError):
            set_aside.append(SetAside.from_error(task.name, result))
        else:
            rows.append(result)
    rows.sort(key=lambda row: row.name)
    _show(rows, found, out)
    report_warnings({row.name: row.warnings for row in rows})
    report_set_aside(set_aside, quarantined(set_aside, work, "convert"))
    if json_file is not None:
        _write_json(json_file, rows, found, set_aside)
    if set_aside:
        raise typer.Exit(SET_ASIDE if rows else 1)


def _reading(overrides: Sequence[str]) -> ReadingSection:
    from slicewise.config import Config, with_overrides
    from slicewise.errors import UsageError

    for override in overrides:
        if not override.startswith("reading."):
            raise UsageError(
                f"--set {override}",
                expected="reading.KEY=VALUE: nothing else matters to a conversion",
                found=override.partition("=")[0],
                remedy="leave it out",
            )
    return with_overrides(Config.defaults("convert"), overrides).reading


def _require_nothing_there(tasks: Sequence[ConversionTask], out: Path) -> None:
    from slicewise.errors import UsageError

    there = [target for task in tasks for target in task.targets if target.exists()]
    if there:
        raise UsageError(
            f"--out {out}",
            expected="no files of these names",
            found=f"{len(there)}, such as {there[0].relative_to(out)}",
            remedy="choose another folder, or replace them with --overwrite",
        )


def _show(rows: Sequence[Converted], found: FoundScans, out: Path) -> None:
    from slicewise.cli.console import note, show_table
    from slicewise.cli.converting_run import volumes_together

    together = volumes_together(found.sources)
    columns = ("name", "size", "spacing mm", "axes", "type", "files", "notes")
    show_table(
        f"{len(rows)} volumes in {out}",
        columns,
        [_cells(row, together[row.name]) for row in rows[:_MOST_ROWS]],
    )
    if len(rows) > _MOST_ROWS:
        note(f"... and {len(rows) - _MOST_ROWS} more; --json FILE lists them all")
    if labels := len(found.labels) + len(found.loose_labels):
        note(f"labels in DICOM SEG, which are no scans, were left alone: {labels}")


def _cells(row: Converted, together: int) -> tuple[str, ...]:
    from slicewise.cli.check import shortened

    notes = [f"1 of {together} volumes"] if together > 1 else []
    if row.warnings:
        notes.append(f"{len(row.warnings)} warnings" if len(row.warnings) > 1 else "1 warning")
    return (
        shortened(row.name),
        "x".join(map(str, row.shape)),
        "x".join(f"{value:.3g}" for value in row.spacing_mm),
        row.orientation,
        row.voxel_type,
        str(row.files),
        ", ".join(notes),
    )


def _write_json(
    path: Path, rows: Sequence[Converted], found: FoundScans, set_aside: Sequence[SetAside]
) -> None:
    import json
    from dataclasses import asdict

    from slicewise.cli.converting_run import volumes_together
    from slicewise.imaging.files import write_text

    together = volumes_together(found.sources)
    content = {
        "volumes": [asdict(row) | {"volumes_together": together[row.name]} for row in rows],
        "set_aside": [
            {"name": item.name, "reason": item.reason, "remedy": item.remedy} for item in set_aside
        ],
    }
    write_text(path, json.dumps(content, indent=2) + "\n")
