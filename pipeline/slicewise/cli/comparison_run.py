"""Finds the runs that a user compares, and shows how they differ."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

from slicewise.cli.console import figure, note, output, show_table
from slicewise.errors import DataError
from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.paired_difference import PairedDifference
from slicewise.evaluation.results import Results, read_results
from slicewise.evaluation.scored_run import ScoredRun, distinct_names
from slicewise.evaluation.verdicts import verdict
from slicewise.tracking.run_index import find_run

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SHORT_ID = 8


def scored_run(run: str, work: Path) -> ScoredRun:
    """The scores of a run.

    Args:
        run: its folder, its id, ``models:/name@alias``, or a CSV of scores.
        work: the work folder that it began with.

    Raises:
        DataError: no such run or file, or one without scores.
        ModelError: an id or a model that the store does not know.
    """
    if run.endswith(".csv"):
        found = ScoredRun.of_table(Path(run))
    else:
        found = _of_folds(read_results(find_run(run, work).folder))
    if not found.scores:
        raise DataError(
            run,
            expected="scores of held-out cases",
            found="none",
            remedy="let the run come to its end (train --resume), or give a CSV of `evaluate`",
        )
    return found


def run_names(first: str, second: str) -> tuple[str, str]:
    """What two runs are called beside each other that are named by a user; see ``distinct_names``.

    Raises:
        DataError: the folder of no run, or of a damaged one.
    """
    return distinct_names(_unscored(first), _unscored(second))


def show_comparison(comparison: RunComparison) -> None:
    """Print the table, and in words what follows from it."""
    metric = comparison.metric
    unit = f" in {metric.unit}" if metric.unit else ""
    show_table(
        f"{metric.title}{unit}: {comparison.second} minus {comparison.first}",
        ("structure", "cases", "left out", "patients", comparison.first, comparison.second,
         "difference", "effect", "p", "corrected p"),
        (_cells(row, metric.digits) for row in comparison.rows),
    )  # fmt: skip
    for row in comparison.rows:
        text = verdict(row, metric, (comparison.first, comparison.second))
        output.print(text, markup=False, soft_wrap=True)
    note(
        "Cases: those where both runs have a value; left out: the other cases of both. Difference: "
        "mean over cases and its 95 % interval (patient-level bootstrap). p: permutation test of "
        "this difference, signs flipped patient by patient; corrected over structures by Holm. "
        "Effect: rank-biserial correlation of the patients' sums of differences, -1 to 1."
    )


def _cells(row: StructureComparison, digits: int) -> tuple[str, ...]:
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


def _of_folds(folds: Sequence[Results]) -> ScoredRun:
    return ScoredRun.of_folds(folds, _id_in(folds[0].folder / "run.json"))


def _unscored(run: str) -> ScoredRun:
    if Path(run).is_dir():
        return _of_folds(read_results(Path(run)))
    if run.endswith(".csv"):
        return ScoredRun([], [], Path(run).stem)
    if _RUN_ID.fullmatch(run):
        return ScoredRun([], [], run[:_SHORT_ID])
    return ScoredRun([], [], run if run.startswith("models:/") else "")


def _id_in(path: Path) -> str:
    """First letters of the id; a record that is damaged is none, as it serves the name alone."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["run_id"])[:_SHORT_ID]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
