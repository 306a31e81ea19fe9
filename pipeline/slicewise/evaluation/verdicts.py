"""Says in words which of two runs is better in a structure, or that this cannot be said."""

from __future__ import annotations

from slicewise.evaluation.comparison import StructureComparison
from slicewise.evaluation.paired_tests import SIGNIFICANT
from slicewise.evaluation.statistics import Metric

_DISTANCES = ("hd95_mm", "surface_distance_mm")


def direction(row: StructureComparison, metric: Metric) -> int:
    """1 where the second run is better, -1 where it is worse, 0 where that cannot be said.

    The sign is that of the mean difference. It counts if the corrected p-value is below 0.05, and
    neither the interval nor the effect speaks against it.
    """
    if not row.difference.p_corrected < SIGNIFICANT or not _one_way(row):
        return 0
    return 1 if (row.difference.mean > 0) == (metric.better == "higher") else -1


def survivors_only(row: StructureComparison) -> bool:
    """Whether one run leaves more cases undefined, so that the comparison may spare it."""
    return row.undefined_first != row.undefined_second


def verdict(row: StructureComparison, metric: Metric, names: tuple[str, str]) -> str:
    """Which run is better in a structure, as a sentence.

    Where one run leaves more cases undefined, "better" holds for the remaining ones alone, and the
    sentence says so.

    Args:
        row: of a comparison by this metric.
        metric: as the comparison has it, better when higher or lower.
        names: of the first and the second run.
    """
    missed = f"; {_missed(row, metric, names)}" if survivors_only(row) else ""
    return f"{row.structure}: {_words(row, metric, names)}{missed}."


def _words(row: StructureComparison, metric: Metric, names: tuple[str, str]) -> str:
    if not row.difference.cases:
        return f"no case has the {metric.title} in both runs"
    which = "where both found it" if metric.key in _DISTANCES else "where both have a value"
    where = f" {which}" if survivors_only(row) else ""
    if not any(row.differences.values()):
        return f"both runs are equal in every case{where}"
    certainty = f"corrected p = {row.difference.p_corrected:.4f}"
    better = direction(row, metric)
    if not better:
        if row.difference.p_corrected < SIGNIFICANT:
            certainty += ", but the interval or the effect speaks against the mean"
        return f"nothing can be said about which run is better{where} ({certainty})"
    winner = names[1] if better > 0 else names[0]
    size = f"{abs(row.difference.mean):.{metric.digits}f} {metric.unit}".rstrip()
    return f"{winner} is better{where}, {metric.title} by {size} ({certainty})"


def _one_way(row: StructureComparison) -> bool:
    found = row.difference
    figures = (found.mean, found.low, found.high, found.effect_size)
    return all(value > 0 for value in figures) or all(value < 0 for value in figures)


def _missed(row: StructureComparison, metric: Metric, names: tuple[str, str]) -> str:
    first, second = names
    if metric.key in _DISTANCES:
        return f"{first} alone missed {row.undefined_first}, {second} alone {row.undefined_second}"
    one, other = row.undefined_first, row.undefined_second
    return f"undefined in {first} alone {one}, in {second} alone {other}"
