"""The arguments and options that several commands share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from slicewise.cli.flags import CLUSTER_VARIABLE

ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="Configuration, such as configs/hippocampus.yaml.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one key; repeatable."),
]
Work = Annotated[
    Path,
    typer.Option("--work", metavar="DIR", help="Folder of slice cache, runs and MLflow store."),
]


def workers_option(text: str) -> Any:
    """The option that says who works on scans.

    Args:
        text: its help.
    """
    return typer.Option(
        "--workers", "--cluster", metavar="N|ADDRESS", envvar=CLUSTER_VARIABLE, help=text
    )


Workers = Annotated[
    str | None,
    workers_option("Scans at a time (default: number of cores), or the address of a Dask cluster."),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace files of others or changed by hand; inputs never are."
    ),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        metavar="N",
        help="Trainings at a time, each with its share of the cores, its own GPU, or its own "
        "worker of --cluster.",
    ),
]
DEFAULT_WORK = Path("work")


def work_option(work: Path) -> str:
    """What a command to be called next needs, to use the same work folder; begins with a space."""
    return "" if work == DEFAULT_WORK else f" --work {shlex.quote(str(work))}"


OuterFold = Annotated[
    int, typer.Option("--fold", min=0, metavar="K", help="Fold whose held-out cases are not used.")
]
InnerFold = Annotated[
    int, typer.Option("--inner", min=0, metavar="K", help="Inner fold whose cases are scored.")
]
