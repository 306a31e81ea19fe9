"""Scores of two runs in, case by case which is better, by how much, and how sure that is, out.

Only cases that both runs scored count, and of these only those where the metric is defined in both.
Volume errors are compared by their size, whatever their sign.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slicewise.dataset.catalogue import listed
from slicewise.errors import DataError, UsageError
from slicewise.evaluation.paired_tests import (
    Floats,
    holm,
    rank_biserial,
    sign_flip_p,
    wilcoxon_p,
)
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import (
    METRICS,
    Metric,
    case_values,
    mean_interval,
    patient_sums,
)
from slicewise.imaging.files import write_text


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
        cases: that count.
        patients: whose they are.
        first_mean: of the first run, over these cases.
        second_mean: of the second run, over these cases.
        difference: second minus first.
        low: end of the 95 % interval of the difference, patients drawn; NaN with fewer than two.
        high: the other end.
        effect_size: matched-pairs rank-biserial correlation of the patients' sums of differences,
            from -1 (the second is lower in every patient) over 0 to 1 (higher in every patient).
        p_value: two-sided, of a permutation test of ``difference``: whole patients have their signs
            flipped, so what is tested are their sums of differences, which over the number of
            cases are the difference.
        p_corrected: over the structures, by Holm.
        differences: case to second minus first.
        undefined: cases of both runs where one of them leaves the metric undefined, or both.
        undefined_first: of these, cases that the first run alone leaves undefined; of distances,
            its false negatives.
        undefined_second: cases that the second run alone leaves undefined.
        wilcoxon_p: two-sided, of Wilcoxon's signed-rank test of the patients' sums of differences.
    """

    structure: str
    cases: int
    patients: int
    first_mean: float
    second_mean: float
    difference: float
    low: float
    high: float
    effect_size: float
    p_value: float
    p_corrected: float
    differences: Mapping[str, float]
    undefined: int = 0
    undefined_first: int = 0
    undefined_second: int = 0
    wilcoxon_p: float = math.nan


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
            f"metric {key}",
            expected=f"one of {', '.join(METRICS)}",
            found=key,
            remedy="take one of these",
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
    corrected = holm([row.p_value for row in rows])
    ours, theirs = ({row.case for row in rows_of} for rows_of in (first, second))
    return RunComparison(
        _by_size(metric_of(metric)),
        *names,
        tuple(replace(row, p_corrected=p) for row, p in zip(rows, corrected, strict=True)),
        tuple(sorted(ours - theirs)),
        tuple(sorted(theirs - ours)),
    )


def pair_scores(
    first: Sequence[Score], second: Sequence[Score], metric: str = "dice"
) -> list[PairedScore]:
    """What both runs have scored, in the order of the first.

    Of a case that several folds of a run have scored, the mean counts. Where one run knows which
    cases share a patient and the other does not, it is believed.

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


@dataclass(frozen=True)
class MeanDifference:
    """All structures of two runs together, each counting alike; NaN where nothing is paired.

    Attributes:
        difference: mean over structures of the mean difference over cases, second minus first.
        low: end of its 95 % interval, patients drawn; NaN with fewer than two.
        high: the other end.
        p_value: two-sided, of a test that flips the signs of whole patients.
        of_patients: what each patient adds to ``difference``.
    """

    difference: float
    low: float
    high: float
    p_value: float
    of_patients: Floats


def mean_difference(pairs: Sequence[PairedScore], seed: int = 0) -> MeanDifference:
    """Mean over structures of the mean difference of two runs, and how sure it is."""
    known = [pair for pair in pairs if not math.isnan(pair.difference)]
    if not known:
        return MeanDifference(math.nan, math.nan, math.nan, math.nan, np.zeros(0))
    sums, counts = patient_sums(
        [pair.structure for pair in known],
        [pair.patient for pair in known],
        [pair.difference for pair in known],
    )
    # Each structure counts alike, however many cases have it.
    of_patients = (sums / counts.sum(axis=1, keepdims=True)).sum(axis=0) / len(sums)
    low, high = mean_interval(sums, counts, np.random.default_rng(seed))
    p_value = sign_flip_p(of_patients, np.random.default_rng(seed))
    return MeanDifference(float(of_patients.sum()), low, high, p_value, of_patients)


def write_differences(pairs: Sequence[PairedScore], path: Path) -> None:
    """Write both values of each case and their difference as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("structure", "case", "patient", "first", "second", "difference"))
    for pair in pairs:
        figures = (pair.first, pair.second, pair.difference)
        cells = ("" if math.isnan(value) else f"{value:.6g}" for value in figures)
        writer.writerow((pair.structure, pair.case, pair.patient, *cells))
    write_text(path, text.getvalue())


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
    patients = [pair.patient for pair in known]
    sums, counts = patient_sums(
        [pair.structure for pair in known], patients, [pair.difference for pair in known]
    )
    of_patients = sums.ravel()
    low, high = mean_interval(sums, counts, np.random.default_rng(seed))
    return StructureComparison(
        structure=pairs[0].structure,
        cases=len(known),
        patients=len(of_patients),
        first_mean=_mean([pair.first for pair in known]),
        second_mean=_mean([pair.second for pair in known]),
        difference=_mean([pair.difference for pair in known]),
        low=low,
        high=high,
        effect_size=rank_biserial(of_patients),
        p_value=sign_flip_p(of_patients, np.random.default_rng(seed)),
        p_corrected=math.nan,
        differences={pair.case: pair.difference for pair in known},
        undefined=len(pairs) - len(known),
        undefined_first=sum(
            math.isnan(pair.first) and not math.isnan(pair.second) for pair in pairs
        ),
        undefined_second=sum(
            math.isnan(pair.second) and not math.isnan(pair.first) for pair in pairs
        ),
        wilcoxon_p=wilcoxon_p(of_patients),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan
