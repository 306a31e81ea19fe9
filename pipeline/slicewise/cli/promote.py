"""``slicewise promote``, ``slicewise rollback`` and ``slicewise models``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work

if TYPE_CHECKING:
    from slicewise.evaluation.noninferiority import DiceRow, NonInferiority
    from slicewise.workflows.promote import Promotion

_SHORT_ID = 8
REFUSED = 9
"""Exit code of a version that is not promoted by the rule."""


def promote(
    challenger: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Folder of a run, run id, models:/name@challenger or models:/name/3.",
        ),
    ],
    model_name: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Registered model, if the run has several."),
    ] = None,
    force: Annotated[
        str | None,
        typer.Option(
            "--force", metavar="REASON", help="Promote in any case; the reason is recorded."
        ),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Make a model version the champion if it is not worse than the present one.

    Both are compared on the held-out cases that they have in common. The rule is
    non-inferiority: the lower end of the 95 % interval of the difference in Dice
    (patient-level bootstrap) is above minus tracking.promotion_margin, for the
    mean over structures and for each structure, with at least six patients in
    common. The former champion gets the alias previous.

    Exit code 9: not promoted by this rule.

    Examples:
      slicewise promote models:/hippocampus@challenger

      slicewise promote work/runs/hippocampus \
        --force "the champion fails on the new scanner"
    """
    from slicewise.cli.console import PROGRESS, loading

    with loading():
        from slicewise.workflows.promote import PromoteOptions
        from slicewise.workflows.promote import promote as promote_version
    result = promote_version(PromoteOptions(challenger, model_name, force, work), PROGRESS)
    _show(result)
    if not result.is_promoted:
        raise typer.Exit(REFUSED)


def rollback(
    model_name: Annotated[str, typer.Argument(metavar="NAME", help="Registered model.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Recorded with the version.")
    ],
    work: Work = DEFAULT_WORK,
) -> None:
    r"""Make the previous champion the champion again; the present one is kept.

    Example:
      slicewise rollback hippocampus \
        --reason "misses the left side on 7 T scans"
    """
    from slicewise.cli.console import loading, show

    with loading():
        from slicewise.workflows.promote import RollBackOptions, roll_back
    done = roll_back(RollBackOptions(model_name, reason, work))
    show(f"{done.champion.uri} is the champion again; {done.former.uri} remains a version")


def models(
    model_name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Registered model; all if left out.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the rows as JSON.")
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """List registered model versions with aliases, Dice of held-out cases and run.

    Examples:
      slicewise models

      slicewise models hippocampus --json versions.json
    """
    from slicewise.cli.console import loading, note, show_table
    from slicewise.quantities import figure

    with loading():
        from slicewise.workflows.promote import ListModelsOptions, list_models
    rows = list_models(ListModelsOptions(model_name, json_file, work, overwrite))
    if not rows:
        note("no model is registered yet: `slicewise train` registers one")
        return
    columns = ("model", "version", "aliases", "Dice", "folds", "registered", "run")
    show_table(
        "Registered models",
        columns,
        (
            (row.name, str(row.version), ", ".join(row.aliases),
             "" if row.dice is None else figure(row.dice), row.folds, row.registered,
             row.run_id[:_SHORT_ID])
            for row in rows
        ),
    )  # fmt: skip


def _show(result: Promotion) -> None:
    """Print the comparison and its outcome."""
    from slicewise.cli.console import note, show

    challenger, champion = result.challenger, result.champion
    if champion is None:
        show(f"{challenger.uri} is the champion: there was none to compare with")
        return
    if champion == challenger:
        show(f"{champion.uri} is the champion already")
        return
    if result.comparison is not None:
        _show_comparison(result.comparison, champion.uri, challenger.uri)
    if result.is_promoted:
        show(
            f"{challenger.uri} is the champion; {champion.uri} is now "
            f"models:/{champion.name}@previous"
        )
    else:
        show(f"{challenger.uri} is not promoted; {champion.uri} remains the champion")
        note("to promote it regardless: --force REASON, which is recorded")


def _cells(row: DiceRow) -> tuple[str, ...]:
    from slicewise.quantities import figure

    found = row.difference
    return (
        row.structure,
        str(found.cases),
        str(found.patients),
        figure(row.champion),
        figure(row.challenger),
        f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]",
        figure(found.wilcoxon_p),
        figure(found.p_corrected),
    )


def _show_comparison(comparison: NonInferiority, champion: str, challenger: str) -> None:
    from slicewise.cli.console import note, show_table

    if comparison.rows:
        show_table(
            f"Dice: {challenger} minus {champion}",
            ("structure", "cases", "patients", "champion", "challenger", "difference [95 %]",
             "Wilcoxon p", "permutation p"),
            map(_cells, comparison.rows),
        )  # fmt: skip
        note(
            f"Not worse: the lower end of each interval is above -{comparison.margin:g} "
            "(tracking.promotion_margin). Intervals by patient-level bootstrap, tests paired by "
            "patient; permutation p of structures is corrected by Holm."
        )
    for text in comparison.objections:
        note(f"not accepted: {text}")
