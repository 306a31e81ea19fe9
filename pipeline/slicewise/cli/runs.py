"""``slicewise runs``: list tracked runs, and move them from one store to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work

runs = typer.Typer(
    name="runs",
    help="List tracked runs; move runs and models between stores.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@runs.command("list")
def list_runs(
    experiment: Annotated[
        str | None,
        typer.Option("--experiment", metavar="NAME", help="Only runs of this experiment."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the rows as JSON.")
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """List tracked runs, newest first, with kind, fold, status, Dice and id.

    Examples:
      slicewise runs list

      slicewise runs list --experiment hippocampus --json runs.json
    """
    from slicewise.cli.console import loading, note, show_table
    from slicewise.quantities import figure

    with loading():
        from slicewise.workflows.transfer import ListRunsOptions
        from slicewise.workflows.transfer import list_runs as listed_runs
    rows = listed_runs(ListRunsOptions(experiment, json_file, work, overwrite))
    if not rows:
        note("no run is tracked yet")
        return
    columns = ("run", "kind", "fold", "status", "Dice", "started", "id")
    show_table(
        "Tracked runs",
        columns,
        (
            (row.name, row.kind, row.fold, row.status, "" if row.dice is None else figure(row.dice),
             row.started, row.run_id)
            for row in rows
        ),
    )  # fmt: skip


@runs.command("export")
def export(
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Ids of runs.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="File to write: .tar, .tar.gz or .tgz.")
    ] = Path("runs.tar.gz"),
    everything: Annotated[
        bool, typer.Option("--all", help="Export every run of the store.")
    ] = False,
    model_name: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Export the runs of a registered model."),
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Export runs and their models to one file.

    The file holds metrics, parameters, tags, files and registered versions. Child
    runs, such as the folds of a cross-validation, are included.

    Examples:
      slicewise runs export --all --out everything.tar.gz

      slicewise runs export --model hippocampus --out hippocampus.tar.gz
    """
    from slicewise.cli.console import PROGRESS, loading, show
    from slicewise.quantities import counted

    with loading():
        from slicewise.workflows.transfer import ExportOptions, export_to_file
    options = ExportOptions(out, tuple(run_ids or ()), model_name, everything, work, overwrite)
    done = export_to_file(options, PROGRESS)
    show(f"{counted(len(done.runs), 'run')} in {done.file}")


@runs.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File that `slicewise runs export` wrote.")
    ],
    aliases: Annotated[
        bool,
        typer.Option("--aliases", help="Move aliases that point to other versions."),
    ] = False,
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Import the runs and models of a file into the tracking store.

    The store is that of the work folder, or the server that MLFLOW_TRACKING_URI
    names. Imported runs get new ids and keep the old ones as tags. Runs that
    exist already are skipped.

    Example:
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 \
        slicewise runs import everything.tar.gz
    """
    from slicewise.cli.console import PROGRESS, loading, note, show
    from slicewise.quantities import counted

    with loading():
        from slicewise.workflows.transfer import ImportOptions, import_from_file
    done = import_from_file(ImportOptions(file, aliases, work), PROGRESS)
    new = len(done.runs) - len(done.skipped)
    show(f"{counted(new, 'run')} imported, {len(done.skipped)} skipped as they exist")
    for address in done.versions:
        show(f"registered: {address}")
    for alias in done.kept_aliases:
        note(f"{alias} points at another version here and was not moved; --aliases moves it")
