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
        Path, typer.Option("--out", metavar="CONFIG", help="The configuration that is written.")
    ],
    budget: Annotated[
        float | None,
        typer.Option("--budget", metavar="MINUTES", min=0.1, help="Of a fold; default: 30."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the configuration; default: the name of --out."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a configuration that lies in --out.")
    ] = False,
    overrides: Overrides = None,
    work: Work = DEFAULT_WORK,
    workers: Workers = None,
) -> None:
    """Read a data set's fingerprint and write a configuration that trains well as it stands.

    Each chosen value stands there with its reason, next to what a training costs on this machine.
    What is given with --set stays as it is, and the rest follows it. Exit code 8: some scans are
    set aside.

    Examples:
      slicewise plan Task04_Hippocampus --out hippocampus.yaml

      slicewise plan my_scans --out mine.yaml --budget 120 --set preprocessing.plane=axial
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
