"""The command ``slicewise``: wires the rooms; a user's mistake never shows a traceback."""

from __future__ import annotations

import sys

import typer

from slicewise import __version__
from slicewise.cli import (
    ablate,
    baseline,
    bench,
    check,
    compare,
    convert,
    data,
    demo,
    describe,
    evaluate,
    figures,
    mlflow_server,
    mlflow_ui,
    plan,
    predict,
    promote,
    report,
    runs,
    serve,
    sweep,
    sync,
    train,
    view,
)
from slicewise.cli.flags import with_flags
from slicewise.errors import SlicewiseError, file_problem, missing_package

app = typer.Typer(
    name="slicewise",
    help="Train 2D U-Nets on MRI scans and images; predict masks on the scan's own grid.",
    epilog="Start with: slicewise demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slicewise {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


app.command("data")(data.data)
app.command("check")(check.check)
app.command("plan")(plan.plan)
app.command("convert")(convert.convert)
app.command("preprocess")(train.preprocess)
app.command("train")(train.train)
app.command("ablate")(ablate.ablate)
app.command("sweep")(sweep.sweep)
app.command("baseline")(baseline.baseline)
app.command("predict")(predict.predict)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("describe")(describe.describe)
app.command("figures")(figures.figures)
app.command("report")(report.report)
app.command("view")(view.view)
app.command("demo")(demo.demo)
app.command("bench")(bench.bench)
app.command("models")(promote.models)
app.command("promote")(promote.promote)
app.command("rollback")(promote.rollback)
app.command("serve")(serve.serve)
app.add_typer(runs.runs)
app.command("sync")(sync.sync)
app.command("mlflow")(mlflow_ui.mlflow)
app.command("mlflow-server")(mlflow_server.mlflow_server)


def main() -> None:
    """Run the command line; exit with 0, 1, 2, 8, 9 or 128 + signal, as docs/training.md says."""
    try:
        app()
    except SlicewiseError as error:
        typer.echo(f"Error: {with_flags(str(error))}", err=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("slicewise"):
            raise
        typer.echo(f"Error: {missing_package('slicewise', error)}", err=True)
        sys.exit(1)
    except OSError as error:
        # What no room has foreseen: a full disk, a folder that cannot be listed.
        typer.echo(f"Error: {_of_system(error)}", err=True)
        sys.exit(1)


def _of_system(error: OSError) -> SlicewiseError:
    return SlicewiseError(
        error.filename or "this machine",
        expected="files and folders that can be read and written",
        found=file_problem(error),
        remedy="correct the path or its permissions, or free space; what is finished is kept",
    )
