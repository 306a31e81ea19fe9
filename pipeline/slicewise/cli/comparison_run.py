"""Two runs as a user names them in, what can be said about their difference out."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.cli.console import figure, note, output, show_table
from slicewise.cli.tables import counted
from slicewise.dataset.catalogue import listed
from slicewise.errors import DataError
from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.paired_tests import FEWEST_PATIENTS
from slicewise.evaluation.results import Results, RunFacts, read_results
from slicewise.evaluation.scores import Score, read_scores
from slicewise.evaluation.verdicts import SIGNIFICANT, verdict
from slicewise.tracking.run_index import find_run

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_SHORT_ID = 8


@dataclass(frozen=True)
class ScoredRun:
    """A run that is compared.

    Attributes:
        scores: rows of all its folds.
        facts: about its folds; empty where only its scores are known.
        name: of its configuration, or of the file of its scores; empty where only facts are known.
        run_id: first letters of the id of its first fold; empty where it has none.
    """

    scores: list[Score]
    facts: list[RunFacts]
    name: str = ""
    run_id: str = ""

    @property
    def titles(self) -> tuple[str, ...]:
        """What it may be called, from short to telling; never a folder, which may name patients."""
        name = self.name or next((facts.name for facts in self.facts), "run")
        kinds = " and ".join(sorted({facts.kind for facts in self.facts}))
        numbers = ", ".join(str(facts.fold) for facts in self.facts)
        texts = (name, f"{name} {kinds}", f"{name} {kinds} fold {numbers}", f"{name} {self.run_id}")
        return texts if self.facts else (name, name, name, texts[-1])


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
        found = ScoredRun(read_scores(Path(run)), [], Path(run).stem)
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


def names_of(first: ScoredRun, second: ScoredRun) -> tuple[str, str]:
    """What two runs are called beside each other: no more than tells them apart."""
    for one, other in zip(first.titles, second.titles, strict=True):
        if one != other:
            return one.strip(), other.strip()
    return "first", "second"


def run_names(first: str, second: str) -> tuple[str, str]:
    """What two runs are called beside each other that are named by a user; see ``names_of``.

    Raises:
        DataError: the folder of no run, or of a damaged one.
    """
    return names_of(_unscored(first), _unscored(second))


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


def caveats(comparison: RunComparison, first: ScoredRun, second: ScoredRun) -> Iterator[str]:
    """What weakens the comparison."""
    runs = {comparison.first: first, comparison.second: second}
    alone = (comparison.only_first, comparison.only_second)
    for name, cases in zip(runs, alone, strict=True):
        if cases:
            yield f"left out, as only {name} has scored them: {listed(cases)}"
    for row in comparison.rows:
        if row.undefined:
            yield f"{row.structure}: left out, as undefined in a run: {_left_out(row, comparison)}"
    yield from _about_structures(runs)
    yield from _about_folds(runs)
    few = [row.structure for row in comparison.rows if 0 < row.patients < FEWEST_PATIENTS]
    if few:
        yield (
            f"fewer than {FEWEST_PATIENTS} patients: no p-value can be below {SIGNIFICANT}: "
            f"{listed(few)}"
        )
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
            yield (
                f"{name}: {patients} in training and validation both, so its scores are "
                "optimistically biased"
            )
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
        str(row.undefined),
        str(row.patients),
        figure(row.first_mean, digits),
        figure(row.second_mean, digits),
        f"{_signed(row.difference, digits)} {_interval(row, digits)}".rstrip(),
        _signed(row.effect_size, 2),
        figure(row.p_value),
        figure(row.p_corrected),
    )


def _left_out(row: StructureComparison, comparison: RunComparison) -> str:
    alone = ((comparison.first, row.undefined_first), (comparison.second, row.undefined_second))
    parts = [f"{count} in {name} alone" for name, count in alone if count]
    return counted(row.undefined, "case") + (f" ({', '.join(parts)})" if parts else "")


def _signed(value: float, digits: int) -> str:
    # Adding 0 turns -0.0 into 0.0, which takes no sign.
    return "-" if math.isnan(value) else f"{round(value, digits) + 0:+.{digits}f}"


def _interval(row: StructureComparison, digits: int) -> str:
    if math.isnan(row.low):
        return ""
    return f"[{_signed(row.low, digits)}, {_signed(row.high, digits)}]"


def _of_folds(folds: Sequence[Results]) -> ScoredRun:
    return ScoredRun(
        [score for fold in folds for score in fold.scores],
        [fold.facts for fold in folds if fold.facts],
        folds[0].config.name,
        _id_in(folds[0].folder / "run.json"),
    )


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
