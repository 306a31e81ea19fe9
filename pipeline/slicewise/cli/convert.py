"""``slicewise convert``: DICOM, NIfTI and pictures to checked NIfTI with acquisition facts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.config import ReadingSection
    from slicewise.imaging.conversion import ConvertedVolume
    from slicewise.workflows.convert import ConvertResult

_MOST_ROWS = 40


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="Scan, folder of scans or DICOM.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for NAME.nii.gz and NAME.json.")
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
    r"""Convert DICOM, NIfTI and pictures to NIfTI with acquisition facts as JSON.

    The JSON has BIDS names and contains nothing that identifies the patient.

    Exit code 8: some files were set aside; their paths and the reasons are in
    WORK/convert/quarantine.jsonl, which only you can read.

    Examples:
      slicewise convert dicom_folder --out nifti

      slicewise convert dicom_folder --out nifti \
        --set reading.irregular_slices=resample
    """
    from slicewise.cli.console import PROGRESS
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.workflows.convert import ConvertOptions
    from slicewise.workflows.convert import convert as convert_scans

    reading = _reading(overrides or [])
    options = ConvertOptions(source, out, reading, json_file, overwrite, work, workers)
    result = convert_scans(options, PROGRESS)
    _show(result)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE if result.volumes else 1)


def _reading(overrides: Sequence[str]) -> ReadingSection:
    from slicewise.config import Config, with_overrides
    from slicewise.errors import UsageError

    for override in overrides:
        if not override.startswith("reading."):
            raise UsageError(
                f"--set {override}",
                expected="reading.KEY=VALUE: no other section affects a conversion",
                found=override.partition("=")[0],
                remedy="leave it out",
            )
    return with_overrides(Config.defaults("convert"), overrides).reading


def _show(result: ConvertResult) -> None:
    from slicewise.cli.console import note, show_table
    from slicewise.quantities import counted

    volumes = result.volumes
    columns = ("name", "size", "spacing mm", "axes", "type", "files", "notes")
    title = f"{counted(len(volumes), 'volume')} in {result.folder}"
    show_table(title, columns, [_row(volume) for volume in volumes[:_MOST_ROWS]])
    if len(volumes) > _MOST_ROWS:
        note(f"... and {len(volumes) - _MOST_ROWS} more; --json FILE lists them all")
    if labels := result.labels_left_alone:
        note(f"left alone, since a label map is no scan: {counted(labels, 'DICOM SEG object')}")


def _row(volume: ConvertedVolume) -> tuple[str, ...]:
    from slicewise.cli.tables import grid_cells, shortened
    from slicewise.quantities import counted

    together = volume.volumes_together
    notes = [f"1 of {together} volumes"] if together > 1 else []
    if volume.warnings:
        notes.append(counted(len(volume.warnings), "warning"))
    return (
        shortened(volume.name),
        *grid_cells(volume.shape, volume.spacing_mm),
        volume.orientation,
        volume.voxel_type,
        str(volume.files),
        ", ".join(notes),
    )
