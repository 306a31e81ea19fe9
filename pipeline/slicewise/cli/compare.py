"""``slicewise compare``: which of two runs is better, and how sure that is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Overwrite, Work

if TYPE_CHECKING:
    from slicewise.evaluation.comparison import StructureComparison
    from slicewise.evaluation.paired_difference import PairedDifference
    from slicewise.workflows.compare import Comparison

_METRICS = (
    "dice, iou, sensitivity, precision, hd95_mm, surface_distance_mm, surface_dice, "
    "volume_error_ml, relative_volume_error, component_sensitivity, component_precision, "
    "component_f1, calibration_error"
)
"""The keys of ``METRICS``, which takes too long to import for a help text."""
_RUN = "Folder of a run, a run id, models:/name@alias, or a CSV of scores."


def compare(
    run_a: Annotated[str, typer.Argument(metavar="RUN_A", help=_RUN)],
    run_b: Annotated[str, typer.Argument(metavar="RUN_B", help="The run to compare with it.")],
    metric: Annotated[
        str,
        typer.Option("--metric", metavar="METRIC", help=f"One of {_METRICS}."),
    ] = "dice",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Folder of results; default: WORK/compare."),
    ] = None,
    overwrite: Overwrite = False,
    work: Work = DEFAULT_WORK,
) -> None:
    """Compare two runs on the cases that both have scored.

    Prints which run is better, and how sure that is: differences B minus A,
    paired by patient, with confidence intervals and p-values. Writes
    differences.csv and differences.png, case by case.

    Examples:
      slicewise compare work/runs/first/fold-0 work/runs/second/fold-0

      slicewise compare unet.csv baseline.csv --metric hd95_mm --out comparison
    """
    from slicewise.cli.console import PROGRESS, loading, note

    with loading():
        from slicewise.workflows.compare import CompareOptions
        from slicewise.workflows.compare import compare as compare_runs
    result = compare_runs(CompareOptions(run_a, run_b, metric, out, work, overwrite), PROGRESS)
    _show(result)
    for text in result.caveats:
        note(text)
    note(f"case by case: {result.csv}, {result.figure}")


def _show(result: Comparison) -> None:
    from slicewise.cli.console import note, show, show_table

    runs, metric = result.runs, result.runs.metric
    unit = f" in {metric.unit}" if metric.unit else ""
    show_table(
        f"{metric.title}{unit}: {runs.second} minus {runs.first}",
        ("structure", "cases", "left out", "patients", runs.first, runs.second,
         "difference", "effect", "p", "corrected p"),
        (_cells(row, metric.digits) for row in runs.rows),
    )  # fmt: skip
    for text in result.verdicts:
        show(text)
    note(
        "Cases: those where both runs have a value; left out: the other cases of both. Difference: "
        "mean over cases and its 95 % interval (patient-level bootstrap). p: permutation test of "
        "this difference, signs flipped patient by patient; corrected over structures by Holm. "
        "Effect: rank-biserial correlation of the patients' sums of differences, -1 to 1."
    )


def _cells(row: StructureComparison, digits: int) -> tuple[str, ...]:
    from slicewise.quantities import figure

    return (
        row.structure,
        str(row.difference.cases),
        str(row.undefined),
        str(row.difference.patients),
        figure(row.first_mean, digits),
        figure(row.second_mean, digits),
        f"{_signed(row.difference.mean, digits)} {_interval(row.difference, digits)}".rstrip(),
        _signed(row.difference.effect_size, 2),
        figure(row.difference.p_value),
        figure(row.difference.p_corrected),
    )


def _signed(value: float, digits: int) -> str:
    # Adding 0 turns -0.0 into 0.0, which takes no sign.
    return "-" if math.isnan(value) else f"{round(value, digits) + 0:+.{digits}f}"


def _interval(found: PairedDifference, digits: int) -> str:
    if math.isnan(found.low):
        return ""
    return f"[{_signed(found.low, digits)}, {_signed(found.high, digits)}]"
