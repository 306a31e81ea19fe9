"""The command ``slicewise``: wires the rooms; a user's mistake never shows a traceback."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

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
from slicewise.cli.crash import describe_crash
from slicewise.cli.flags import with_flags
from slicewise.errors import (
    InterruptedBySignal,
    SlicewiseError,
    UsageError,
    file_problem,
    missing_package,
)
from slicewise.interruption import end_process, interruptible
from slicewise.workflows.take_part import is_follower, is_from_torchrun

_INTERRUPTED = 128 + 2
"""Exit code after Ctrl-C (SIGINT), as shells expect it."""
_NOBODY_READS = 128 + 13
"""Exit code after SIGPIPE."""

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
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version
    if is_from_torchrun() and context.invoked_subcommand != "train":
        _refuse_torchrun(context.invoked_subcommand)


def _refuse_torchrun(command: str | None) -> NoReturn:
    """Each process would do the same work, and write the same files; only the first one says so."""
    if is_follower():
        raise typer.Exit(UsageError.exit_code)
    raise UsageError(
        f"torchrun ... -m slicewise {command}",
        expected="the command train, whose work torchrun's processes share",
        found=str(command),
        remedy=f"call slicewise {command} without torchrun",
    )


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
        try:
            _run()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        _leave_quietly()
    except SystemExit as leaving:
        # Typer and rich turn a broken pipe into exit code 1.
        if isinstance(leaving.__context__, BrokenPipeError):
            _leave_quietly()
        raise


def _run() -> None:
    try:
        with interruptible():
            app()
    except InterruptedBySignal as error:
        with suppress(OSError):
            typer.echo(f"Error: {with_flags(str(error))}", err=True)
        end_process(error.exit_code)
    except SlicewiseError as error:
        _fail(error)
    except BrokenPipeError:
        raise
    except ModuleNotFoundError as error:
        own = (error.name or "").startswith("slicewise")
        _fail(describe_crash(error) if own else missing_package("slicewise", error))
    except OSError as error:
        # What no room has foreseen: a full disk, a folder that cannot be listed.
        _fail(_of_system(error))
    except Exception as error:
        _fail(describe_crash(error))


def _fail(error: SlicewiseError) -> NoReturn:
    typer.echo(f"Error: {with_flags(str(error))}", err=True)
    sys.exit(error.exit_code)


def _leave_quietly() -> NoReturn:
    """Whoever reads the output has seen enough: ``slicewise runs list | head``."""
    # Python flushes its streams once more at the end, which would fail again, and say so.
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(_NOBODY_READS)


def _of_system(error: OSError) -> SlicewiseError:
    return SlicewiseError(
        error.filename or "this machine",
        expected="files and folders that can be read and written",
        found=file_problem(error),
        remedy="correct the path or its permissions, or free space; what is finished is kept",
    )
