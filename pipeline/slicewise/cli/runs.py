"""``slicewise runs``: list what is tracked, and carry it from one store to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work

runs = typer.Typer(
    name="runs",
    help="List tracked runs; carry runs and models from one store to another.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@runs.command("list")
def list_runs(
    experiment: Annotated[
        str | None, typer.Option("--experiment", metavar="NAME", help="Of this experiment alone.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON, too.")
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """List tracked runs, the newest first: kind, fold, how they ended, Dice, id.

    Examples:
      slicewise runs list

      slicewise runs list --experiment hippocampus --json runs.json
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.transfer_run import show_runs
    show_runs(experiment, json_file, work)


@runs.command("export")
def export(
    run_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="Ids of runs.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Ends in .tar, .tar.gz or .tgz.")
    ] = Path("runs.tar.gz"),
    everything: Annotated[bool, typer.Option("--all", help="Every run of the store.")] = False,
    model_name: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="The runs behind a registered model."),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Write runs and their models into one file: metrics, parameters, tags, files, versions.

    Runs below a chosen one, such as the folds of a cross-validation, come along.

    Examples:
      slicewise runs export --all --out everything.tar.gz

      slicewise runs export --model hippocampus --out hippocampus.tar.gz
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.transfer_run import export_to
    export_to(out, run_ids or [], model_name, work, everything=everything)


@runs.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Of `slicewise runs export`.")],
    aliases: Annotated[
        bool,
        typer.Option("--aliases", help="Move aliases that point at other versions here."),
    ] = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Make the runs and models of a file anew in the store of the work folder, or on a server.

    They get new ids and keep the old ones as tags; what is there already is not doubled.

    Example:
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 slicewise runs import everything.tar.gz
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.transfer_run import import_from
    import_from(file, work, move_aliases=aliases)
