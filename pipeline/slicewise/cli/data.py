"""``slicewise data``: public data sets and the demo cohort, ready to train on."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DataSet(StrEnum):
    """What can be fetched or made."""

    demo = "demo"
    hippocampus = "hippocampus"


def data(
    name: Annotated[DataSet, typer.Argument(help="Which data set.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to put it in.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Another address of the same archive.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the demo cohort.")] = 0,
    subjects: Annotated[
        int, typer.Option("--subjects", min=3, help="Subjects of the demo cohort.")
    ] = 24,
) -> None:
    """Download a public data set (checksum verified, broken downloads resume), or make the demo.

    Examples:
      slicewise data hippocampus --out data

      slicewise data demo --out work/demo/cohort
    """
    if name is DataSet.demo:
        make_demo(out, subjects, seed)
        folder = out
    else:
        folder = _download(out, url)
    typer.echo(folder)


def make_demo(folder: Path, subjects: int, seed: int) -> None:
    """Make the demo cohort behind a bar."""
    from slicewise.cli.bridge import tracked
    from slicewise.cli.console import note
    from slicewise.dataset.demo.cohort import make_demo_cohort

    note("The demo cohort is synthetic: good for a trial, not for accuracy claims.")
    for _ in tracked(make_demo_cohort(folder, subjects, seed), "making the cohort", subjects):
        pass


def _download(out: Path, url: str | None) -> Path:
    from slicewise.cli.console import PROGRESS
    from slicewise.dataset.downloads import download_hippocampus

    return download_hippocampus(out, PROGRESS, url=url)
