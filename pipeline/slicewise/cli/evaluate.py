"""``slicewise evaluate``: masks and references in, a CSV and a table out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import Workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slicewise.evaluation.scores import Score


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
    from slicewise.cli.bridge import report_set_aside, report_warnings
    from slicewise.cli.console import loading, note
    from slicewise.cli.tables import SET_ASIDE
    from slicewise.config import load_config

    with loading():
        from slicewise.cli.console import PROGRESS
        from slicewise.dataset.catalogue import SetAside, listed
        from slicewise.dataset.worker_pool import default_workers
        from slicewise.evaluation.pair_scoring import (
            pair_tasks,
            score_pairs,
            summarize_evaluation,
            write_summary,
        )
        from slicewise.evaluation.pairing import pair_masks
        from slicewise.evaluation.scores import write_scores

    config = load_config(config_file) if config_file else None
    pairing = pair_masks(predictions, labels)
    set_aside = [
        SetAside(name, str(predictions / name), "mask without reference", "add its reference")
        for name in pairing.only_predicted
    ]
    tasks = pair_tasks(pairing.pairs, config, workers or default_workers(), PROGRESS)
    scored = score_pairs(tasks, workers or default_workers(), PROGRESS)
    if len(scored.failures) == len(tasks) == 1:
        raise scored.failures[tasks[0].name]
    set_aside += [SetAside.from_error(name, error) for name, error in scored.failures.items()]
    write_scores(scored.scores, out)
    if json_file:
        summary = summarize_evaluation(scored.scores, set_aside, pairing.only_reference)
        write_summary(summary, json_file)
    report_warnings(scored.warnings)
    report_set_aside(set_aside)
    if pairing.only_reference:
        note(f"not scored, no mask: {listed(pairing.only_reference)}")
    _show(scored.scores, out)
    if set_aside:
        raise typer.Exit(SET_ASIDE if scored.scores else 1)


def _show(scores: Sequence[Score], out: Path) -> None:
    from slicewise.cli.console import note
    from slicewise.cli.tables import show_summary
    from slicewise.evaluation.statistics import mean_dice_interval, summarize
    from slicewise.quantities import counted

    if not scores:
        note("no voxel of any mask has a label: there is nothing to score")
        return
    cases, patients = ({getattr(row, name) for row in scores} for name in ("case", "patient"))
    title = f"{counted(len(cases), 'case')} of {counted(len(patients), 'patient')}"
    show_summary(f"{title}, rows in {out}", summarize(scores), mean_dice_interval(scores))
    if all(row.patient == row.case for row in scores):
        note("each case counts as one patient; set data.patient_pattern if some share one")
