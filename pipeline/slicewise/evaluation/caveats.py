"""What weakens the comparison of two runs, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.paired_tests import FEWEST_PATIENTS, SIGNIFICANT
from slicewise.evaluation.scored_run import ScoredRun
from slicewise.quantities import counted, listed


def caveats(comparison: RunComparison, first: ScoredRun, second: ScoredRun) -> Iterator[str]:
    """What weakens a comparison by one metric.

    Args:
        comparison: of the two runs.
        first: the first run of the comparison.
        second: the second one.
    """
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
    few = [
        row.structure for row in comparison.rows if 0 < row.difference.patients < FEWEST_PATIENTS
    ]
    if few:
        yield (
            f"fewer than {FEWEST_PATIENTS} patients: no p-value can be below {SIGNIFICANT}: "
            f"{listed(few)}"
        )
    if all(score.patient == score.case for run in runs.values() for score in run.scores):
        yield "each case counts as one patient; if some share one, the p-values are too small"


def caveats_by_metric(
    comparisons: Sequence[RunComparison], first: ScoredRun, second: ScoredRun
) -> Iterator[str]:
    """What weakens comparisons by several metrics: first what all share, then what one has alone.

    Args:
        comparisons: of the same two runs, at least one.
        first: the first run of each.
        second: the second one.
    """
    found = [list(caveats(comparison, first, second)) for comparison in comparisons]
    common = [text for text in found[0] if all(text in texts for texts in found)]
    yield from common
    for comparison, texts in zip(comparisons, found, strict=True):
        for text in texts:
            if text not in common:
                yield f"{comparison.metric.title}: {text}"


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
                f"{name}: {patients} in both training and validation, so its scores are "
                "optimistically biased"
            )
        if not run.facts:
            yield f"{name}: nothing is known about its training; it must not include these cases"
    folds = [{(facts.folds, facts.fold) for facts in run.facts} for run in runs.values()]
    if all(folds) and folds[0] != folds[1]:
        texts = (f"{name} {_listed_folds(run)}" for name, run in runs.items())
        yield f"the folds differ, so the runs learned from different cases: {'; '.join(texts)}"


def _listed_folds(run: ScoredRun) -> str:
    kinds = " and ".join(sorted({facts.folds for facts in run.facts}))
    return f"fold {', '.join(str(facts.fold) for facts in run.facts)} ({kinds})"


def _left_out(row: StructureComparison, comparison: RunComparison) -> str:
    alone = ((comparison.first, row.undefined_first), (comparison.second, row.undefined_second))
    parts = [f"{count} in {name} alone" for name, count in alone if count]
    return counted(row.undefined, "case") + (f" ({', '.join(parts)})" if parts else "")
