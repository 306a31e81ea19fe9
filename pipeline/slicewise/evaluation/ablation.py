"""Scores of a base and its variants in, how much each variant gains and how sure that is, out."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slicewise.evaluation.comparison import mean_difference, pair_scores
from slicewise.evaluation.paired_tests import holm
from slicewise.evaluation.scores import Score
from slicewise.evaluation.statistics import mean_dice, summarize
from slicewise.imaging.files import write_text


@dataclass(frozen=True)
class AblationRow:
    """One variant beside the base.

    Attributes:
        variant: its name.
        changes: of the configuration, as ``--set`` takes them; or the members of an ensemble.
        trainings: seeds that were trained.
        dice: mean over structures of the mean Dice over cases.
        difference: to the base, on the cases that both scored; NaN for the base.
        low: end of the 95 % interval of the difference, patients drawn.
        high: the other end.
        p_corrected: of a test that flips the signs of patients, corrected over variants by Holm.
        cpu_ratio: processor time of a training, as a multiple of the base's.
    """

    variant: str
    changes: tuple[str, ...]
    trainings: int
    dice: float
    difference: float
    low: float
    high: float
    p_corrected: float
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
    """Compare each variant with the base, cases by case; the mean over the seeds counts.

    Args:
        base: name of the variant that the others are compared with.
        variants: by name.
        seed: of intervals and tests.
    """
    rows = [_row(name, item, variants[base], seed) for name, item in variants.items()]
    corrected = holm([row.p_corrected for row in rows])
    return [replace(row, p_corrected=p) for row, p in zip(rows, corrected, strict=True)]


def _row(name: str, variant: Variant, base: Variant, seed: int) -> AblationRow:
    # The base is not compared with itself.
    pairs = [] if variant is base else pair_scores(base.scores, variant.scores)
    gain = mean_difference(pairs, seed)
    return AblationRow(
        name,
        variant.changes,
        variant.trainings,
        mean_dice(summarize(variant.scores)),
        gain.difference,
        gain.low,
        gain.high,
        gain.p_value,
        variant.cpu_seconds / base.cpu_seconds,
    )


def write_ablation(rows: Sequence[AblationRow], path: Path) -> None:
    """Write a row a variant as CSV; what is undefined is empty.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = ("dice", "difference", "low", "high", "p_corrected", "cpu_ratio")
    writer.writerow(("variant", "changes", "trainings", *numbers))
    for row in rows:
        figures = (getattr(row, name) for name in numbers)
        cells = ("" if math.isnan(value) else f"{value:.6g}" for value in figures)
        writer.writerow((row.variant, " ".join(row.changes), row.trainings, *cells))
    write_text(path, text.getvalue())
