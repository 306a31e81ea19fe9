"""``slicewise promote``, ``slicewise rollback`` and ``slicewise models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work

REFUSED = 9
"""Exit code of a promotion that the comparison speaks against."""


def promote(
    challenger: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run, a run id, models:/name@challenger, models:/name/3.",
        ),
    ],
    model_name: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Which model, if the run registered several."),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option("--force", metavar="REASON", help="Promote all the same; it is recorded."),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Make a registered version the champion, if it is not worse than the reigning one.

    Both are compared on the held-out cases that both have scored, paired by patient. The rule:
    the lower end of the 95 % interval of the difference in Dice lies above minus
    tracking.promotion_margin, for the mean over structures and for each structure; and at least six
    patients are in common. The former champion keeps its version and gets the alias previous.

    Exit code 0: promoted; 9: refused by the rule.

    Examples:
      slicewise promote models:/hippocampus@challenger

      slicewise promote work/runs/hippocampus --force "the champion fails on the new scanner"
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.promotion_run import promote_version
    if not promote_version(challenger, model_name, force, work):
        raise typer.Exit(REFUSED)


def rollback(
    model_name: Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it stays with the version.")
    ],
    work: Work = DEFAULT_WORK,
) -> None:
    """Make the previous champion champion again; the present one keeps its version.

    Example:
      slicewise rollback hippocampus --reason "misses the left side on 7 T scans"
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.promotion_run import roll_back_version
    roll_back_version(model_name, reason, work)


def models(
    model_name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Registered model; all if left out.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the rows as JSON, too.")
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """List registered models: versions, aliases, Dice of held-out cases, the run of each.

    Examples:
      slicewise models

      slicewise models hippocampus --json versions.json
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.promotion_run import show_models
    show_models(model_name, json_file, work)
