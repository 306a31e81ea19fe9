"""The sentences of a report: summary, warnings, comparisons and scoring rules."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from slicewise.evaluation.comparison import RunComparison, StructureComparison
from slicewise.evaluation.results import Results
from slicewise.evaluation.statistics import Distribution, Metric, StructureSummary
from slicewise.evaluation.verdicts import direction
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.metrics.components import false_positive_components
from slicewise.metrics.masks import mask_pair
from slicewise.quantities import counted, listed, millilitres
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.report.contents import Compared, Report

POLICY = (
    "A structure that is only in the reference (false negative), or only predicted (false "
    "positive), has Dice, IoU and surface Dice 0 and no distance: distances are means over "
    "detected structures and stand next to the count of false negatives. Where reference and "
    "prediction are both empty, scores are undefined: the case is left out of the mean and "
    "counted. All scores are computed on the scan's own grid, against the reference as it was "
    "delivered."
)
INTERVALS = (
    "Intervals are 95 % percentile intervals of the mean by patient-level bootstrap. They tell "
    "how far a figure may move with other patients of the same kind, not with other scanners, "
    "hospitals or readers."
)
_MAX_DIGITS = 3
_SPACE = "\N{NO-BREAK SPACE}"
_DASH = "\N{EN DASH}"
_FEW_PATIENTS = 10
_MAX_STRUCTURES = 6
_DISTANCES = ("hd95_mm", "surface_distance_mm")
"""Undefined where a structure is missed, so that bad cases drop out of their means."""


def figure(value: float, digits: int, *, signed: bool = False) -> str:
    """A figure; a dash where it is undefined."""
    if not math.isfinite(value):
        return _DASH
    # Adding 0 turns -0.0 into 0.0; what is shown as zero takes no sign.
    shown = round(value, digits) + 0
    return f"{shown:{'+' if signed and shown else ''}.{digits}f}".replace("-", "\N{MINUS SIGN}")


def metric_text(value: float, metric: Metric, *, signed: bool = False) -> str:
    """A value of a metric with the digits that are worth showing."""
    signed = signed or metric.better == "zero"
    if metric.unit == "ml" and math.isfinite(value):
        return millilitres(value, signed=signed).replace("-", "\N{MINUS SIGN}")
    return figure(value, digits_of(metric), signed=signed)


def digits_of(metric: Metric) -> int:
    """Digits that are worth showing in a sentence or a table of means."""
    return min(metric.digits, _MAX_DIGITS)


def with_interval(item: Distribution, metric: Metric) -> str:
    """A mean with its interval, where it has one."""
    mean = metric_text(item.mean, metric)
    if not math.isfinite(item.low):
        return mean
    return f"{mean} ({metric_text(item.low, metric)} to {metric_text(item.high, metric)})"


def p_text(value: float) -> str:
    """A p-value as journals want it."""
    if math.isnan(value):
        return _DASH
    return f"<{_SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def meaning(report: Report) -> list[str]:
    """What the figures mean, in a few sentences."""
    if report.headline is None:
        return []
    return [
        *_level(report, report.headline),
        _losses(report.summaries),
        *(comparison_sentence(other) for other in report.compared),
        _to_look_at(report),
    ]


def alarms(report: Report) -> list[str]:
    """What biases the figures optimistically, or weakens them: to be said loudly."""
    texts = []
    if shared := sum(facts.shared_patients for facts in report.facts):
        texts.append(
            f"{counted(shared, 'patient')} with scans on both sides, in training and among the "
            "held-out cases. The figures are optimistically biased: they say how known patients "
            "are segmented, not new ones."
        )
    if unscored := sum(map(_unscored, report.folds)):
        texts.append(
            f"{counted(unscored, 'held-out case')} could not be scored, such as where prediction "
            "failed. They count in no figure."
        )
    if any(fold.config.training.keep == "best" and _is_network(fold) for fold in report.folds):
        texts.append(
            "The checkpoint was chosen as the best on the same held-out cases that are scored "
            "here (training.keep: best). The figures are optimistically biased."
        )
    patients = {score.patient for score in report.scores}
    if report.scores and len(patients) < _FEW_PATIENTS:
        texts.append(
            f"Only {counted(len(patients), 'patient')}: means and intervals of so few say little "
            "about others."
        )
    if patients_unknown(report):
        texts.append(
            "Each case counts as one patient; set data.patient_pattern if some share one: "
            "then intervals are too narrow, and a patient may be both trained on and held out."
        )
    return texts


def patients_unknown(report: Report) -> bool:
    """Whether nothing tells which cases share a patient."""
    return (
        bool(report.scores)
        and all(score.patient == score.case for fold in report.folds for score in fold.scores)
        and all(fold.config.data.patient_pattern is None for fold in report.folds)
    )


def folds_text(report: Report) -> str:
    """How the held-out cases were chosen."""
    if not report.facts:
        return ""
    kinds = " and ".join(dict.fromkeys(facts.folds for facts in report.facts))
    numbers = [str(facts.fold) for facts in report.facts]
    which = f"fold {numbers[0]}" if len(numbers) == 1 else f"folds {', '.join(numbers)}"
    shared = sum(facts.shared_patients for facts in report.facts)
    if shared:
        return (
            f"Folds were made {kinds}; {counted(shared, 'patient')} on both sides. "
            f"Held out: {which}."
        )
    if patients_unknown(report):
        return (
            f"Folds were made {kinds}, each case taken for a patient of its own; no held-out case "
            f"was trained on. Held out: {which}."
        )
    return (
        f"Folds were made {kinds}; no patient of the held-out cases was trained on. "
        f"Held out: {which}."
    )


def comparison_sentence(other: Compared) -> str:
    """Which of two runs is better, in one metric, in words."""
    comparison = other.comparisons[0]
    title = comparison.metric.title
    better = [row for row in comparison.rows if direction(row, comparison.metric) > 0]
    worse = [row for row in comparison.rows if direction(row, comparison.metric) < 0]
    than = "simple thresholding" if other.kind == "baseline" else other.name
    if not better and not worse:
        return f"No structure shows a clear difference in {title} from {than}."
    parts = [
        f"{word} than {than} in {_differences(rows, comparison)}"
        for word, rows in (("better", better), ("worse", worse))
        if rows
    ]
    rest = len(comparison.rows) - len(better) - len(worse)
    unclear = f"; {counted(rest, 'structure')} without a clear difference" if rest else ""
    this = "the network" if comparison.second == "network" else comparison.second
    return f"Measured by {title}, {this} is {', and '.join(parts)}{unclear}."


def verdict_word(row: StructureComparison, metric: Metric) -> str:
    """Better, worse, unclear or equal."""
    if not any(row.differences.values()):
        return "equal"
    return ("unclear", "better", "worse")[direction(row, metric)]


def verdict_condition(row: StructureComparison, metric: Metric) -> str:
    """Where a verdict holds; empty where no case was left out."""
    if not row.undefined:
        return ""
    return "where both found it" if metric.key in _DISTANCES else "where both are defined"


def cases_text(row: StructureComparison) -> str:
    """The cases that count, of those that both runs scored."""
    cases = row.difference.cases
    return f"{cases} of {cases + row.undefined}" if row.undefined else str(cases)


def component_notes(
    predicted: Volume, reference: Volume, structures: Sequence[Structure]
) -> Iterator[str]:
    """False-positive components of each structure, which pictures of slices hardly show.

    Args:
        predicted: label map.
        reference: label map on the same grid, with axes in the same order.
        structures: what the values mean.
    """
    for structure in structures:
        pair = mask_pair(predicted, reference, structure.value)
        # Without a reference the whole structure is false positive, which the failures say.
        if not pair.reference.voxels.any():
            continue
        count, volume_ml = false_positive_components(pair)
        if count:
            components = counted(count, "false-positive component")
            yield f"{shown_name(structure.name)}: {components}, {millilitres(volume_ml)} ml"


def _differences(rows: Sequence[StructureComparison], comparison: RunComparison) -> str:
    digits = digits_of(comparison.metric)
    return listed(
        [
            f"{shown_name(row.structure)} ({figure(row.difference.mean, digits, signed=True)}, "
            f"p{_SPACE}{_relation(row.difference.p_corrected)}"
            f"{f', in {cases_text(row)} cases' * bool(row.undefined)})"
            for row in rows
        ],
        _MAX_STRUCTURES,
    )


def _relation(value: float) -> str:
    text = p_text(value)
    return text if text.startswith("<") else f"={_SPACE}{text}"


def _level(report: Report, headline: Distribution) -> Iterator[str]:
    patients = len({score.patient for score in report.scores})
    cases = len(report.case_names)
    if not math.isfinite(headline.mean):
        yield f"In {counted(cases, 'held-out case')} no structure has a defined Dice."
        return
    interval = ""
    if math.isfinite(headline.low):
        interval = f" (95 % interval {headline.low:.3f} to {headline.high:.3f})"
    over = " over the structures" if len(report.summaries) > 1 else ""
    of_patients = "" if patients_unknown(report) else f" of {counted(patients, 'patient')}"
    yield (
        f"In {counted(cases, 'held-out case')}{of_patients} the mean Dice"
        f"{over} is {headline.mean:.3f}{interval}."
    )
    if headline.count > 1:
        yield (
            f"Half of the cases lie between {headline.lower_quartile:.3f} and "
            f"{headline.upper_quartile:.3f}."
        )


def _losses(summaries: Sequence[StructureSummary]) -> str:
    parts = [
        f"{shown_name(item.structure)} is {word} in {counted(count, 'case')}"
        for item in summaries
        for word, count in (
            ("false negative", item.false_negative),
            ("false positive", item.false_positive),
        )
        if count
    ]
    more = f"; and {len(parts) - _MAX_STRUCTURES} more" if len(parts) > _MAX_STRUCTURES else ""
    text = "; ".join(parts[:_MAX_STRUCTURES]) + more
    return f"{text}." if parts else "No structure is false negative or false positive in any case."


def _to_look_at(report: Report) -> str:
    cases = len(dict.fromkeys(failure.case for failure in report.failures))
    if not cases:
        return "No case stands out as a failure."
    share = f"{cases} of {len(report.case_names)} cases"
    verb = "stands" if cases == 1 else "stand"
    return f"{share} {verb} out and should be reviewed; the list of failures gives the reasons."


def _is_network(fold: Results) -> bool:
    return fold.facts is not None and fold.facts.kind == "network"


def _unscored(fold: Results) -> int:
    """Held-out cases of a scored fold that have no scores."""
    if fold.facts is None or not fold.scores:
        return 0
    return max(fold.facts.validation_cases - len({score.case for score in fold.scores}), 0)
