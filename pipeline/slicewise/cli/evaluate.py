"""``slicewise evaluate``: scores of masks against references, as a CSV and a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work, Workers

if TYPE_CHECKING:
    from slicewise.workflows.evaluate import Evaluation


def evaluate(
    predictions: Annotated[
        Path, typer.Argument(metavar="PREDICTIONS", help="Mask, or folder of masks.")
    ],
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Reference, or folder of references.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.csv", help="One row per case and structure.")
    ],
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="CONFIG",
            help="Configuration that names structures, tolerances and patients.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE.json", help="Means, intervals, quartiles and counts."),
    ] = None,
    work: Work = DEFAULT_WORK,
    overwrite: Overwrite = False,
    workers: Workers = None,
) -> None:
    r"""Score masks against reference labels, for each case and structure.

    Dice, IoU, sensitivity, precision, HD95, average surface distance, surface
    Dice and volumes are computed on the grid of the reference; for structures
    with several_components, each connected component is scored, too.

    A false-negative or false-positive structure scores 0 and has no distance.
    Where both masks are empty, scores are undefined: the cell is empty, and the
    case is counted and left out of the mean.

    Masks of DICOM, which have neutral names such as dicom-3, are matched to
    references with the names of the folders of their scans. The key lies in
    the work folder of the prediction, predictions/sources.jsonl.

    Confidence intervals are by patient: without data.patient_pattern in CONFIG,
    each case counts as one.

    Example:
      slicewise evaluate masks data/Task04_Hippocampus/labelsTr --out scores.csv \
        --config configs/hippocampus.yaml
    """
    from slicewise.cli.console import PROGRESS, loading
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    with loading():
        from slicewise.workflows.evaluate import EvaluateOptions
        from slicewise.workflows.evaluate import evaluate as evaluate_masks
    config = load_config(config_file) if config_file else None
    options = EvaluateOptions(predictions, labels, out, config, json_file, workers, work, overwrite)
    result = evaluate_masks(options, PROGRESS)
    _show(result, out)
    if result.set_aside:
        raise typer.Exit(SET_ASIDE if result.rows else 1)


def _show(result: Evaluation, out: Path) -> None:
    from slicewise.cli.console import note
    from slicewise.cli.tables import show_summary
    from slicewise.quantities import counted

    totals = result.totals
    if not result.rows:
        note("no voxel of any mask has a label: there is nothing to score")
        return
    title = f"{counted(totals.cases, 'case')} of {counted(totals.patients, 'patient')}"
    show_summary(f"{title}, rows in {out}", result.summaries, result.mean_dice)
    if all(row.patient == row.case for row in result.rows):
        note("each case counts as one patient; set data.patient_pattern if some share one")
