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
    name: Annotated[DataSet, typer.Argument(help="Data set to download or to make.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the data set.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Another address of the same archive.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the demo cohort; default: 0.")
    ] = None,
    subjects: Annotated[
        int | None,
        typer.Option("--subjects", min=3, help="Subjects of the demo cohort; default: 24."),
    ] = None,
) -> None:
    """Download a public data set, or make the synthetic demo cohort.

    Downloads are verified by their checksum and resume after an interruption.

    Examples:
      slicewise data hippocampus --out data

      slicewise data demo --out work/demo/cohort
    """
    from slicewise.cli.console import PROGRESS
    from slicewise.workflows.data import (
        DemoDataOptions,
        DownloadOptions,
        download_data,
        make_demo_data,
    )

    of_demo = {"subjects": subjects, "seed": seed}
    given = {option: value for option, value in of_demo.items() if value is not None}
    if name is DataSet.demo:
        _require_none(["url"] if url is not None else [], name)
        done = make_demo_data(DemoDataOptions(out, **given), PROGRESS)
    else:
        _require_none(list(given), name)
        done = download_data(DownloadOptions(out, url), PROGRESS)
    typer.echo(done.folder)


def _require_none(options: list[str], name: DataSet) -> None:
    """Refuse an option that the data set does not have."""
    from slicewise.errors import UsageError

    if options:
        raise UsageError(
            f"--{options[0]}",
            expected=f"an option of the data set {name}",
            found="one of another data set",
            remedy="leave it out",
        )
