"""Statistics of scores by structure: means with intervals, counts, agreement of volumes.

Cases of one patient are not independent, so the intervals are those of a patient-level bootstrap:
each resample takes as many patients as there are, with replacement and with all their cases, and
the middle 95 % of the means of all resamples are the interval (percentile bootstrap, which unlike
the bias-corrected one stays defined when all values are equal).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from slicewise.evaluation.scores import (
    BOTH_EMPTY,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    STATES,
    Score,
    are_in_pixels,
    column_of,
)

Floats = NDArray[np.float64]

RESAMPLES = 2000
_TRACKED = ("dice", "iou", "hd95_mm", "surface_dice")


@dataclass(frozen=True)
class Metric:
    """One figure of a ``Score``.

    Attributes:
        key: the field or property of ``Score``.
        title: what people read.
        unit: of the figure; empty where it has none.
        digits: worth showing.
        better: where a good figure lies.
    """

    key: str
    title: str
    unit: str
    digits: int
    better: Literal["higher", "lower", "zero"]


METRICS = {
    metric.key: metric
    for metric in (
        Metric("dice", "Dice", "", 4, "higher"),
        Metric("iou", "IoU", "", 4, "higher"),
        Metric("sensitivity", "sensitivity", "", 4, "higher"),
        Metric("precision", "precision", "", 4, "higher"),
        Metric("hd95_mm", "HD95", "mm", 2, "lower"),
        Metric("surface_distance_mm", "average surface distance", "mm", 3, "lower"),
        Metric("surface_dice", "surface Dice", "", 4, "higher"),
        Metric("volume_error_ml", "volume error", "ml", 3, "zero"),
        Metric("relative_volume_error", "relative volume error", "", 4, "zero"),
        Metric("component_sensitivity", "component sensitivity", "", 4, "higher"),
        Metric("component_precision", "component precision", "", 4, "higher"),
        Metric("component_f1", "component F1", "", 4, "higher"),
        Metric("calibration_error", "calibration error", "", 4, "lower"),
    )
}


def metric_in(key: str, *, in_pixels: bool) -> Metric:
    """A metric with the unit of its values; distances and volumes may be in pixels."""
    metric = METRICS[key]
    has_size = metric.unit in ("mm", "ml")
    return replace(metric, unit="px", digits=1) if in_pixels and has_size else metric


@dataclass(frozen=True)
class Distribution:
    """One metric of one structure over the cases where it is defined; NaN where there is none.

    Attributes:
        count: of these cases.
        mean: over cases.
        median: over cases.
        lower_quartile: over cases.
        upper_quartile: over cases.
        low: end of the 95 % interval of the mean; NaN with fewer than two patients.
        high: the other end.
    """

    count: int
    mean: float
    median: float
    lower_quartile: float
    upper_quartile: float
    low: float
    high: float


@dataclass(frozen=True)
class VolumeAgreement:
    """Predicted minus reference volume, over the cases with a prediction or a reference.

    Attributes:
        count: of these cases.
        bias_ml: mean difference.
        lower_limit_ml: bias minus 1.96 standard deviations; NaN with fewer than two cases.
        upper_limit_ml: bias plus as much.
        correlation: Pearson's, of the two volumes; NaN with fewer than three cases, or where either
            volume is always the same.

    Source:
        Bland and Altman, Lancet 1986;327(8476):307-310.
    """

    count: int
    bias_ml: float
    lower_limit_ml: float
    upper_limit_ml: float
    correlation: float


@dataclass(frozen=True)
class StructureSummary:
    """One structure over all cases.

    Attributes:
        structure: its name.
        cases: the undefined ones included.
        patients: whose they are.
        false_negative: cases with a reference and, in a fold at least, no prediction.
        false_positive: cases with a prediction, in a fold at least, and no reference.
        undefined: cases where both are empty, in every fold that scored them.
        metrics: key of each of ``METRICS`` to its distribution.
        volume: agreement of the volumes.
        in_pixels: whether distances and volumes are in pixels.
    """

    structure: str
    cases: int
    patients: int
    false_negative: int
    false_positive: int
    undefined: int
    metrics: Mapping[str, Distribution]
    volume: VolumeAgreement
    in_pixels: bool = False


def summarize(scores: Sequence[Score], seed: int = 0) -> list[StructureSummary]:
    """One summary a structure, in the order of their first appearance.

    Of a case that several folds scored, as split files may have it, the mean counts, once.

    Args:
        scores: rows of any number of structures.
        seed: of the bootstrap; each distribution has a generator of its own.
    """
    names = dict.fromkeys(score.structure for score in scores)
    return [_summary([row for row in scores if row.structure == name], seed) for name in names]


def mean_dice(summaries: Sequence[StructureSummary]) -> float:
    """Mean of the structures' mean Dice; NaN where no structure has one."""
    means = [item.metrics["dice"].mean for item in summaries]
    known = [mean for mean in means if not math.isnan(mean)]
    return float(np.mean(known)) if known else math.nan


def mean_dice_interval(scores: Sequence[Score], seed: int = 0) -> Distribution:
    """Mean of the structures' mean Dice with its interval: the headline of a run.

    Median and quartiles are those of the cases' mean Dice over their structures. Each counts once.
    """
    known = _defined(case_values(scores, lambda score: score.dice))
    of_cases: dict[str, list[float]] = {}
    for (_, case), dice in known.items():
        of_cases.setdefault(case, []).append(dice)
    means = np.array([np.mean(values) for values in of_cases.values()])
    owners = {score.case: score.patient for score in scores}
    sums, counts = patient_sums(
        [structure for structure, _ in known],
        [owners[case] for _, case in known],
        list(known.values()),
    )
    mean = float(np.mean(sums.sum(1) / counts.sum(1))) if known else math.nan
    return _distribution(means, mean, mean_interval(sums, counts, np.random.default_rng(seed)))


def final_metrics(summaries: Sequence[StructureSummary]) -> dict[str, float]:
    """What a tracked run shows: mean Dice, and of each structure the means and the counts."""
    final = {"dice": mean_dice(summaries)}
    for item in summaries:
        for key in _TRACKED:
            name = column_of(key, in_pixels=item.in_pixels)
            final[f"{name}.{item.structure}"] = item.metrics[key].mean
        final[f"false_negative.{item.structure}"] = item.false_negative
        final[f"false_positive.{item.structure}"] = item.false_positive
    return final


def case_values(
    scores: Sequence[Score], value: Callable[[Score], float]
) -> dict[tuple[str, str], float]:
    """Structure and case to a value, the mean of the defined ones of several folds, or NaN."""
    found: dict[tuple[str, str], list[float]] = {}
    for score in scores:
        known = found.setdefault((score.structure, score.case), [])
        if math.isfinite(figure := value(score)):
            known.append(figure)
    return {place: float(np.mean(known)) if known else math.nan for place, known in found.items()}


def patient_sums(
    structures: Sequence[str], patients: Sequence[str], values: Sequence[float]
) -> tuple[Floats, Floats]:
    """Add up values, one row per structure and one column per patient, both in alphabetical order.

    Args:
        structures: of each value.
        patients: of each value.
        values: defined ones.

    Returns:
        Sums of the values, and how many there are.
    """
    names, rows = np.unique(np.array(structures, dtype=str), return_inverse=True)
    people, columns = np.unique(np.array(patients, dtype=str), return_inverse=True)
    sums, counts = np.zeros((2, len(names), len(people)))
    np.add.at(sums, (rows, columns), values)
    np.add.at(counts, (rows, columns), 1)
    return sums, counts


def mean_interval(
    sums: Floats, counts: Floats, generator: np.random.Generator
) -> tuple[float, float]:
    """95 % interval of the mean over structures of their mean values, by patient-level bootstrap.

    Args:
        sums: of the values, shape (structures, patients).
        counts: of the values; each patient has some.
        generator: of the resamples.

    Returns:
        Both ends; NaN with fewer than two patients.
    """
    patients = sums.shape[1]
    if patients < 2:
        return math.nan, math.nan

    def mean(resampled: NDArray[np.int64], axis: int) -> Floats:
        assert axis == -1
        total, count = (
            sums[:, resampled].sum(-1),
            counts[:, resampled].sum(-1),
        )  # (structures, resamples)
        # A resample may leave out all the patients that have some rare structure.
        means = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
        averaged: Floats = means.sum(0) / (count > 0).sum(0)
        return averaged

    found = bootstrap(
        (np.arange(patients),),
        mean,
        n_resamples=RESAMPLES,
        axis=-1,
        vectorized=True,
        method="percentile",
        rng=generator,
    ).confidence_interval
    return float(found.low), float(found.high)


def _summary(rows: Sequence[Score], seed: int) -> StructureSummary:
    in_state = {state: {row.case for row in rows if row.state == state} for state in STATES}
    return StructureSummary(
        structure=rows[0].structure,
        cases=len({row.case for row in rows}),
        patients=len({row.patient for row in rows}),
        false_negative=len(in_state[FALSE_NEGATIVE]),
        false_positive=len(in_state[FALSE_POSITIVE]),
        undefined=len(in_state[BOTH_EMPTY] - in_state[FALSE_POSITIVE]),
        metrics={key: _of_metric(rows, key, seed) for key in METRICS},
        volume=_volume_agreement([row for row in rows if row.state != BOTH_EMPTY]),
        in_pixels=are_in_pixels(rows),
    )


def _of_metric(rows: Sequence[Score], key: str, seed: int) -> Distribution:
    known = _defined(case_values(rows, lambda row: float(getattr(row, key))))
    owners, values = {row.case: row.patient for row in rows}, list(known.values())
    sums, counts = patient_sums([key] * len(known), [owners[case] for _, case in known], values)
    interval = mean_interval(sums, counts, np.random.default_rng(seed))
    return _distribution(np.array(values), float(np.mean(values)) if values else math.nan, interval)


def _defined(values: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return {place: value for place, value in values.items() if not math.isnan(value)}


def _distribution(values: Floats, mean: float, interval: tuple[float, float]) -> Distribution:
    quartiles = np.percentile(values, (25, 50, 75)) if len(values) else np.full(3, np.nan)
    lower, median, upper = map(float, quartiles)
    return Distribution(len(values), mean, median, lower, upper, *interval)


def _volume_agreement(rows: Sequence[Score]) -> VolumeAgreement:
    predicted = np.array([*case_values(rows, lambda row: row.predicted_ml).values()])
    reference = np.array([*case_values(rows, lambda row: row.reference_ml).values()])
    differences = predicted - reference
    count = len(differences)
    bias = float(differences.mean()) if count else math.nan
    reach = 1.96 * float(differences.std(ddof=1)) if count > 1 else math.nan
    varied = count > 2 and np.ptp(predicted) > 0 and np.ptp(reference) > 0
    correlation = float(np.corrcoef(predicted, reference)[0, 1]) if varied else math.nan
    return VolumeAgreement(count, bias, bias - reach, bias + reach, correlation)
