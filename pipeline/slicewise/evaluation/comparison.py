"""Compares the scores of two runs, case by case.

Only cases that both runs scored count, and of these only those where the metric is defined in both.
Volume errors are compared by their size, whatever their sign.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slicewise.errors import DataError, UsageError, did_you_mean
from slicewise.evaluation.paired_difference import (
    PairedDifference,
    corrected,
    paired_difference,
)
from slicewise.evaluation.scores import Score, are_in_pixels
from slicewise.evaluation.statistics import METRICS, Metric, case_values, metric_in
from slicewise.imaging.files import write_table
from slicewise.quantities import listed


@dataclass(frozen=True)
class PairedScore:
    """One metric of one structure of one case in two runs; NaN where it is undefined.

    Attributes:
        structure: name of the structure.
        case: name of the case.
        patient: whose it is.
        first: value in the first run.
        second: value in the second run.
    """

    structure: str
    case: str
    patient: str
    first: float
    second: float

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.second - self.first


@dataclass(frozen=True)
class StructureComparison:
    """One structure in two runs.

    Attributes:
        structure: its name.
        first_mean: of the first run, over the cases that count.
        second_mean: of the second run, over these cases.
        difference: second minus first, p-values corrected over the structures.
        differences: case to second minus first.
        undefined: cases of both runs where one of them leaves the metric undefined, or both.
        undefined_first: of these, cases that the first run alone leaves undefined; of distances,
            its false negatives.
        undefined_second: cases that the second run alone leaves undefined.
    """

    structure: str
    first_mean: float
    second_mean: float
    difference: PairedDifference
    differences: Mapping[str, float]
    undefined: int = 0
    undefined_first: int = 0
    undefined_second: int = 0


@dataclass(frozen=True)
class RunComparison:
    """Two runs side by side.

    Attributes:
        metric: that is compared; of errors with a sign, their size.
        first: name of the first run.
        second: name of the second run.
        rows: a structure each, those that both runs have.
        only_first: cases that the second run has not scored.
        only_second: cases that the first run has not scored.
    """

    metric: Metric
    first: str
    second: str
    rows: tuple[StructureComparison, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def metric_of(key: str) -> Metric:
    """The metric of a name.

    Raises:
        UsageError: there is none.
    """
    if key not in METRICS:
        raise UsageError(
            f"`metric` {key}",
            expected=f"one of {', '.join(METRICS)}",
            found=key,
            remedy=did_you_mean(key, METRICS) or "choose one of these",
        )
    return METRICS[key]


def compare(
    first: Sequence[Score],
    second: Sequence[Score],
    names: tuple[str, str],
    metric: str = "dice",
    seed: int = 0,
) -> RunComparison:
    """Compare two runs on the cases that both scored.

    Args:
        first: rows of one run, all of its folds.
        second: rows of the other.
        names: how the runs are called.
        metric: key of ``METRICS``.
        seed: of intervals and, beyond 13 patients, of the test.

    Raises:
        UsageError: no such metric.
        DataError: no case, or no structure of one, that both have scored.
    """
    pairs = pair_scores(first, second, metric)
    if not pairs:
        raise DataError(
            " and ".join(names),
            expected="cases and structures that both have scored",
            found=f"{_content(first)} against {_content(second)}",
            remedy="compare runs on the same data set, with the same names of cases and structures",
        )
    structures = dict.fromkeys(pair.structure for pair in pairs)
    rows = [_compared([p for p in pairs if p.structure == name], seed) for name in structures]
    differences = corrected([row.difference for row in rows])
    ours, theirs = ({row.case for row in rows_of} for rows_of in (first, second))
    return RunComparison(
        _by_size(metric_in(metric, in_pixels=are_in_pixels((*first, *second)))),
        *names,
        tuple(replace(row, difference=d) for row, d in zip(rows, differences, strict=True)),
        tuple(sorted(ours - theirs)),
        tuple(sorted(theirs - ours)),
    )


def pair_scores(
    first: Sequence[Score], second: Sequence[Score], metric: str = "dice"
) -> list[PairedScore]:
    """What both runs have scored, in the order of the first.

    Of a case that several folds of a run have scored, the mean counts. Where only one run knows
    which cases share a patient, its patients count.

    Raises:
        UsageError: no such metric.
    """
    ours, theirs = _values(first, metric_of(metric)), _values(second, metric_of(metric))
    common = [place for place in ours if place in theirs]
    patients = min(_patients(first, common), _patients(second, common), key=_distinct)
    return [
        PairedScore(structure, case, patients[case], ours[structure, case], theirs[structure, case])
        for structure, case in common
    ]


def mean_difference(pairs: Sequence[PairedScore], seed: int = 0) -> PairedDifference:
    """Mean over structures of the mean difference of two runs, second minus first."""
    return paired_difference(
        [pair.difference for pair in pairs],
        [pair.patient for pair in pairs],
        cases=[pair.case for pair in pairs],
        structures=[pair.structure for pair in pairs],
        seed=seed,
        with_wilcoxon=True,
    )


def write_differences(pairs: Sequence[PairedScore], path: Path) -> None:
    """Write both values of each case and their difference as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = ("structure", "case", "patient", "first", "second", "difference")
    rows = (
        (pair.structure, pair.case, pair.patient, pair.first, pair.second, pair.difference)
        for pair in pairs
    )
    write_table(path, columns, rows)


def _by_size(metric: Metric) -> Metric:
    if metric.better != "zero":
        return metric
    return replace(metric, title=f"absolute {metric.title}", better="lower")


def _content(scores: Sequence[Score]) -> str:
    cases, structures = ({row.case for row in scores}, {row.structure for row in scores})
    return f"{listed(sorted(cases), 3) or 'no cases'} ({listed(sorted(structures), 3)})"


def _values(scores: Sequence[Score], metric: Metric) -> dict[tuple[str, str], float]:
    def value(score: Score) -> float:
        figure = float(getattr(score, metric.key))
        return abs(figure) if metric.better == "zero" else figure

    return case_values(scores, value)


def _patients(scores: Sequence[Score], places: Iterable[tuple[str, str]]) -> dict[str, str]:
    cases = {case for _, case in places}
    return {score.case: score.patient for score in scores if score.case in cases}


def _distinct(patients: Mapping[str, str]) -> int:
    return len(set(patients.values()))


def _compared(pairs: Sequence[PairedScore], seed: int) -> StructureComparison:
    known = [pair for pair in pairs if not math.isnan(pair.difference)]
    return StructureComparison(
        structure=pairs[0].structure,
        first_mean=_mean([pair.first for pair in known]),
        second_mean=_mean([pair.second for pair in known]),
        difference=mean_difference(pairs, seed),
        differences={pair.case: pair.difference for pair in known},
        undefined=len(pairs) - len(known),
        undefined_first=sum(math.isnan(p.first) and not math.isnan(p.second) for p in pairs),
        undefined_second=sum(math.isnan(p.second) and not math.isnan(p.first) for p in pairs),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
