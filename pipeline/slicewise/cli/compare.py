"""``slicewise compare``: two runs in; which is better, and how sure that is, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work

_METRICS = (
    "dice, iou, sensitivity, precision, hd95_mm, surface_distance_mm, surface_dice, "
    "volume_error_ml, relative_volume_error, component_sensitivity, component_precision, "
    "component_f1, calibration_error"
)
"""The keys of ``METRICS``, which takes too long to import for a help text."""
_RUN = "Folder of a run, a run id, models:/name@alias, or a CSV of scores."


def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help=_RUN)],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="Likewise.")],
    metric: Annotated[
        str,
        typer.Option("--metric", metavar="METRIC", help=f"One of {_METRICS}."),
    ] = "dice",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Differences; default compare below --work."),
    ] = None,
    work: Work = DEFAULT_WORK,
) -> None:
    """Tell which of two runs is better on the cases that both have scored, and how sure that is.

    Writes differences.csv and differences.png, case by case, B minus A.

    Examples:
      slicewise compare work/models/first work/models/second

      slicewise compare unet.csv baseline.csv --metric hd95_mm --out comparison
    """
    from slicewise.cli.console import loading, note

    with loading():
        from slicewise.cli.comparison_run import scored_run, show_comparison
        from slicewise.evaluation.caveats import caveats
        from slicewise.evaluation.comparison import (
            compare,
            metric_of,
            pair_scores,
            write_differences,
        )
        from slicewise.evaluation.scored_run import distinct_names
        from slicewise.reporting.charts.differences import differences_figure
        from slicewise.reporting.charts.export import write_figure

    metric_of(metric)
    first, second = scored_run(run_a, work), scored_run(run_b, work)
    comparison = compare(first.scores, second.scores, distinct_names(first, second), metric)
    folder = out or work / "compare"
    pairs = pair_scores(first.scores, second.scores, metric)
    write_differences(pairs, folder / "differences.csv")
    write_figure(differences_figure(comparison), folder / "differences.png")
    show_comparison(comparison)
    for text in caveats(comparison, first, second):
        note(text)
    note(f"case by case: {folder / 'differences.csv'}, {folder / 'differences.png'}")
