"""Compares variants of a configuration with their base: an ablation study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slicewise.evaluation.comparison import mean_difference, pair_scores
from slicewise.evaluation.paired_difference import PairedDifference, corrected
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import mean_dice, summarize
from slicewise.imaging.files import write_table


@dataclass(frozen=True)
class AblationRow:
    """One variant next to the base.

    Attributes:
        variant: its name.
        changes: of the configuration, ``key=value``; or the members of an ensemble.
        trainings: seeds that were trained.
        dice: mean over structures of the mean Dice over cases.
        difference: of the mean Dice to the base, on the cases that both scored, p-values corrected
            over the variants; NaN for the base.
        cpu_ratio: processor time of a training, as a multiple of the base's.
    """

    variant: str
    changes: tuple[str, ...]
    trainings: int
    dice: float
    difference: PairedDifference
    cpu_ratio: float


@dataclass(frozen=True)
class Variant:
    """What was measured of one variant.

    Attributes:
        changes: see ``AblationRow``.
        scores: of all its trainings.
        trainings: how many there were.
        cpu_seconds: of one training, the mean.
    """

    changes: tuple[str, ...]
    scores: Sequence[Score]
    trainings: int
    cpu_seconds: float


def ablation_rows(base: str, variants: Mapping[str, Variant], seed: int = 0) -> list[AblationRow]:
    """Compare each variant with the base, case by case; the mean over the seeds counts.

    Args:
        base: name of the variant that the others are compared with.
        variants: by name.
        seed: of intervals and tests.
    """
    rows = [_row(name, item, variants[base], seed) for name, item in variants.items()]
    differences = corrected([row.difference for row in rows])
    return [replace(row, difference=d) for row, d in zip(rows, differences, strict=True)]


def _row(name: str, variant: Variant, base: Variant, seed: int) -> AblationRow:
    # The base is not compared with itself.
    pairs = [] if variant is base else pair_scores(base.scores, variant.scores)
    return AblationRow(
        name,
        variant.changes,
        variant.trainings,
        mean_dice(summarize(variant.scores)),
        mean_difference(pairs, seed),
        variant.cpu_seconds / base.cpu_seconds,
    )


def write_ablation(rows: Sequence[AblationRow], path: Path) -> None:
    """Write one row per variant as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = (
        *("variant", "changes", "trainings", "dice"),
        *("difference", "low", "high", "p_corrected", "cpu_ratio"),
    )
    cells = (
        (
            *(row.variant, " ".join(row.changes), row.trainings, row.dice),
            *(row.difference.mean, row.difference.low, row.difference.high),
            *(row.difference.p_corrected, row.cpu_ratio),
        )
        for row in rows
    )
    write_table(path, columns, cells)
