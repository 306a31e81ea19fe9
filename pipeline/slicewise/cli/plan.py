"""``slicewise plan``: from a labelled data set to a complete configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overrides, Work, Workers


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

    Each chosen value stands there with its reason, beside what a training costs on this machine.
    What is given with --set stays as it is, and the rest follows it. Exit code 8: some scans are
    set aside.

    Examples:
      slicewise plan Task04_Hippocampus --out hippocampus.yaml

      slicewise plan my_scans --out mine.yaml --budget 120 --set preprocessing.plane=axial
    """
    from slicewise.cli.planning_run import PlanningJob, require_free_file, write_plan
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.dataset.work_folder import require_outside

    require_outside(data, {"--work": work, "--out": out})
    require_free_file(out, overwrite=overwrite)
    named = () if name is None else (f"name={name}",)
    job = PlanningJob(data, out, budget, (*(overrides or ()), *named), work, workers)
    if write_plan(job):
        raise typer.Exit(SET_ASIDE)
