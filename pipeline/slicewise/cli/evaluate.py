"""``slicewise evaluate``: scores of masks against references, as a CSV and a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import Workers

if TYPE_CHECKING:
    from slicewise.workflows.evaluate import Evaluation


def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Mask or folder.")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="Reference or folder.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="Row a case, structure.")],
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="CONFIG", help="Names and tolerances of structures; patients."
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE.json", help="Means, intervals, quartiles, counts."),
    ] = None,
    workers: Workers = None,
) -> None:
    """Score each case and structure on the grid of the reference.

    Dice, IoU, sensitivity, precision, HD95, average surface distance, surface Dice and volumes;
    for structures with several_components, each connected component, too.

    A false-negative or false-positive structure scores 0 and has no distance; where both masks
    are empty nothing is defined: the cell stays empty, and the case is counted.

    Intervals are for patients: without data.patient_pattern in CONFIG, each case counts as one.

    Example:
      slicewise evaluate masks labelsTr --out scores.csv --config configs/hippocampus.yaml
    """
    from slicewise.cli.console import PROGRESS, loading
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    with loading():
        from slicewise.workflows.evaluate import EvaluateOptions
        from slicewise.workflows.evaluate import evaluate as evaluate_masks
    config = load_config(config_file) if config_file else None
    options = EvaluateOptions(predictions, labels, out, config, json_file, workers)
    result = evaluate_masks(options, PROGRESS)
    _show(result, out)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE if result.rows else 1)


def _show(result: Evaluation, out: Path) -> None:
    from slicewise.cli.console import note
    from slicewise.cli.tables import show_summary
    from slicewise.quantities import counted

    summary = result.summary
    if not result.rows:
        note("no voxel of any mask has a label: there is nothing to score")
        return
    title = f"{counted(summary.cases, 'case')} of {counted(summary.patients, 'patient')}"
    show_summary(f"{title}, rows in {out}", summary.structures, summary.mean_dice)
    if all(row.patient == row.case for row in result.rows):
        note("each case counts as one patient; set data.patient_pattern if some share one")
