"""``slicewise plan``: from a labelled data set to a complete configuration."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, Workers, work_option

if TYPE_CHECKING:
    from slicewise.workflows.plan import PlanResult


def plan(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of scans or CSV manifest.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="CONFIG", help="Configuration file to write.")
    ],
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", metavar="MINUTES", min=0.1, help="Training time of one fold; default: 30."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the configuration; default: that of --out."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file in --out.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    r"""Write a configuration that fits a labelled data set and this machine.

    Each planned value has its reason next to it. Values given with --set are
    kept, and the rest is planned around them. The time, memory and disk space of
    a training are estimated from a few steps on this machine. The configuration
    names the data set, so that `slicewise train CONFIG` needs nothing else.

    Exit code 8: some scans were set aside.

    Examples:
      slicewise plan data/Task04_Hippocampus --out hippocampus.yaml

      slicewise plan my_scans --out mine.yaml --budget 120 \
        --set preprocessing.plane=axial
    """
    from slicewise.cli.console import PROGRESS, loading
    from slicewise.cli.tables import SET_ASIDE

    with loading():
        from slicewise.workflows.plan import PlanOptions
        from slicewise.workflows.plan import plan as plan_training
    options = PlanOptions(data, out, budget, tuple(overrides or ()), name, overwrite, work, workers)
    result = plan_training(options, PROGRESS)
    _show(result, work)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE)


def _show(result: PlanResult, work: Path) -> None:
    from slicewise.cli.console import note, show_texts

    show_texts("Data set", ("property", "value"), result.data_set)
    show_texts("Plan", ("key", "value", "reason"), result.choices)
    show_texts("Estimated cost", ("quantity", "value"), result.cost)
    for text in result.warnings:
        note(f"check: {text}")
    note(f"configuration: {result.path}")
    note(f"Next: slicewise train {shlex.quote(str(result.path))}{work_option(work)}")
