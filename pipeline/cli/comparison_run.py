"""Two runs as a user names them in, what can be said about their difference out."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.console import figure, note, output, show_table
from pipeline.cli.run_folder import find_run
from pipeline.cli.tables import counted
from pipeline.dataset.catalogue import listed
from pipeline.errors import DataError
from pipeline.evaluation.comparison import RunComparison, StructureComparison
from pipeline.evaluation.results import SCORES, RunFacts, read_results
from pipeline.evaluation.scores import Score, read_scores

SIGNIFICANT = 0.05
FEWEST_PATIENTS = 6
"""With fewer, a two-sided test cannot come below 0.05, however they differ: 2 / 2^5 = 0.0625."""
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class ScoredRun:
    """A run that is compared.

    Attributes:
        scores: rows of all its folds.
        facts: about its folds; empty where only its scores are known.
    """

    scores: list[Score]
    facts: list[RunFacts]


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
        found = ScoredRun(read_scores(Path(run)), [])
    else:
        folds = read_results(find_run(run, work).folder)
        scores = [score for fold in folds for score in fold.scores]
        found = ScoredRun(scores, [fold.facts for fold in folds if fold.facts])
    if not found.scores:
        raise DataError(
            run,
            expected="scores of held-out cases",
            found="none",
            remedy="let the run come to its end (train --resume), or give a CSV of `evaluate`",
        )
    return found


def run_names(first: str, second: str) -> tuple[str, str]:
    """What two runs are called beside each other: no more of a path than tells them apart."""
    parts = [_parts(text) for text in (first, second)]
    for count in range(1, max(map(len, parts)) + 1):
        one, other = ("/".join(part[-count:]) for part in parts)
        if one != other:
            return one, other
    return f"{parts[0][-1]} (first)", f"{parts[1][-1]} (second)"


def show_comparison(comparison: RunComparison) -> None:
    """Print the table, and in words what follows from it."""
    metric = comparison.metric
    unit = f" in {metric.unit}" if metric.unit else ""
    show_table(
        f"{metric.title}{unit}: {comparison.second} minus {comparison.first}",
        ("structure", "cases", "patients", comparison.first, comparison.second,
         "difference", "effect", "p", "corrected p"),
        (_cells(row, metric.digits) for row in comparison.rows),
    )  # fmt: skip
    for row in comparison.rows:
        output.print(_verdict(row, comparison), markup=False, soft_wrap=True)
    note(
        "Difference: mean over cases and its 95 % interval, patients drawn. Effect: rank-biserial "
        "correlation of the patients' mean differences, -1 to 1. p: sign-flip "
        "permutation test of these; corrected over structures by Holm."
    )


def caveats(comparison: RunComparison, first: ScoredRun, second: ScoredRun) -> Iterator[str]:
    """What weakens the comparison."""
    runs = {comparison.first: first, comparison.second: second}
    alone = (comparison.only_first, comparison.only_second)
    for name, cases in zip(runs, alone, strict=True):
        if cases:
            yield f"left out, as only {name} has scored them: {listed(cases)}"
    for row in comparison.rows:
        if row.undefined:
            missing = counted(row.undefined, "case")
            yield f"{row.structure}: left out, as undefined in a run: {missing}"
    yield from _about_structures(runs)
    yield from _about_folds(runs)
    if 0 < max(row.patients for row in comparison.rows) < FEWEST_PATIENTS:
        yield f"fewer than {FEWEST_PATIENTS} patients: no p-value can be below {SIGNIFICANT}"
    if all(score.patient == score.case for run in runs.values() for score in run.scores):
        yield "each case counts as one patient; if some share one, the p-values are too small"


def _about_structures(runs: dict[str, ScoredRun]) -> Iterator[str]:
    structures = {name: {row.structure for row in run.scores} for name, run in runs.items()}
    common = set.intersection(*structures.values())
    for name, own in structures.items():
        if own - common:
            yield f"left out, as only {name} has them: {listed(sorted(own - common))}"


def _about_folds(runs: dict[str, ScoredRun]) -> Iterator[str]:
    for name, run in runs.items():
        if shared := sum(facts.shared_patients for facts in run.facts):
            patients = counted(shared, "patient")
            yield f"{name}: {patients} in training and validation both, so its scores flatter"
        if not run.facts:
            yield f"{name}: nothing is known about its training; it must not have seen these cases"
    folds = [{(facts.folds, facts.fold) for facts in run.facts} for run in runs.values()]
    if all(folds) and folds[0] != folds[1]:
        texts = (f"{name} {_listed_folds(run)}" for name, run in runs.items())
        yield f"the folds differ, so the runs learned from different cases: {'; '.join(texts)}"


def _listed_folds(run: ScoredRun) -> str:
    kinds = " and ".join(sorted({facts.folds for facts in run.facts}))
    return f"fold {', '.join(str(facts.fold) for facts in run.facts)} ({kinds})"


def _cells(row: StructureComparison, digits: int) -> tuple[str, ...]:
    return (
        row.structure,
        str(row.cases),
        str(row.patients),
        figure(row.first_mean, digits),
        figure(row.second_mean, digits),
        f"{_signed(row.difference, digits)} {_interval(row, digits)}".rstrip(),
        _signed(row.effect_size, 2),
        figure(row.p_value),
        figure(row.p_corrected),
    )


def _verdict(row: StructureComparison, comparison: RunComparison) -> str:
    metric = comparison.metric
    if not row.cases:
        return f"{row.structure}: {metric.title} is undefined in every case."
    if not any(row.differences.values()):
        return f"{row.structure}: both runs are equal in every case."
    certainty = f"corrected p = {row.p_corrected:.4f}"
    if row.p_corrected >= SIGNIFICANT:
        return f"{row.structure}: nothing can be said about which run is better ({certainty})."
    gain = row.difference if metric.better == "higher" else -row.difference
    winner = comparison.second if gain > 0 else comparison.first
    size = f"{abs(row.difference):.{metric.digits}f} {metric.unit}".rstrip()
    return f"{row.structure}: {winner} is better, {metric.title} by {size} ({certainty})."


def _signed(value: float, digits: int) -> str:
    # Adding 0 turns -0.0 into 0.0, which takes no sign.
    return "-" if math.isnan(value) else f"{round(value, digits) + 0:+.{digits}f}"


def _interval(row: StructureComparison, digits: int) -> str:
    if math.isnan(row.low):
        return ""
    return f"[{_signed(row.low, digits)}, {_signed(row.high, digits)}]"


def _parts(run: str) -> tuple[str, ...]:
    if run.startswith("models:/"):
        return (run,)
    if _RUN_ID.fullmatch(run):
        return (run[:8],)
    path = Path(run).resolve()
    folder = path.parent if path.name == SCORES else path.with_suffix("")
    return folder.parts[1:] or (run,)
