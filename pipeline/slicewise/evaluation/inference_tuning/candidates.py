"""Evidence in; out what each way to make a mask gains in each case, and which of them to take.

Where neither mask nor reference holds anything, Dice is undefined. Here, and here alone, it counts
as 1: removing a false-positive structure must be seen to gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slicewise.evaluation.inference_tuning.effects import (
    SIGNIFICANT,
    Effect,
    Floats,
    corrected,
    effect,
)
from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, StructureEvidence
from slicewise.evaluation.inference_tuning.options import POSTPROCESSING

LEAST_GAIN = 0.001
"""Mean Dice that a way must gain to be taken, however sure it is."""
ALL = "all"
"""Stands for the structures of a way that sanity_checks the whole scan."""
MIRRORING = "mirroring"
CLEANING = "post-processing"


@dataclass(frozen=True)
class Candidate:
    """One way to make a mask, beside the plain one.

    Attributes:
        kind: ``mirroring`` or ``post-processing``.
        structure: that it sanity_checks; all of them in mirroring.
        option: its name.
        gains: Dice minus that of the plain mask, one a case.
    """

    kind: str
    structure: str
    option: str
    gains: Floats

    @property
    def place(self) -> tuple[str, str]:
        """Of the candidates of one place one is taken at most."""
        return self.kind, self.structure

    def of(self, cases: NDArray[np.bool_]) -> Candidate:
        """The same with some of the cases."""
        return replace(self, gains=self.gains[cases])


@dataclass(frozen=True)
class Judged:
    """A candidate and what becomes of it.

    Attributes:
        candidate: that was tried.
        effect: of its gains.
        p_corrected: over all that were tried at once.
        taken: whether it is significantly and noticeably better, and the best of its place.
    """

    candidate: Candidate
    effect: Effect
    p_corrected: float
    taken: bool


def find_candidates(cases: Sequence[CaseEvidence]) -> list[Candidate]:
    """All ways that change the Dice of any case; others need no test."""
    found = [*_mirrorings(cases), *_cleanings(cases)]
    return [item for item in found if item.gains.any()]


def judge(candidates: Sequence[Candidate], patients: Sequence[str]) -> list[Judged]:
    """Test all candidates at once; of each place the best that passes is taken."""
    effects = [effect(item.gains, patients) for item in candidates]
    p_corrected = corrected(effects)
    best: dict[tuple[str, str], int] = {}
    for number, (candidate, found) in enumerate(zip(candidates, effects, strict=True)):
        if p_corrected[number] < SIGNIFICANT and found.mean >= LEAST_GAIN:
            # Of equal ones the first, which does less.
            leader = best.setdefault(candidate.place, number)
            if found.mean > effects[leader].mean:
                best[candidate.place] = number
    return [
        Judged(candidate, effects[number], p_corrected[number], best.get(candidate.place) == number)
        for number, candidate in enumerate(candidates)
    ]


def cross_fitted(
    candidates: Sequence[Candidate], patients: Sequence[str], folds: Sequence[int]
) -> list[Candidate]:
    """What the choice itself gains: for each fold it is made on the other folds alone.

    Returns:
        One candidate a place, whose gains owe nothing to the case that they are measured on.
    """
    owners, numbers = np.array(patients), np.array(folds)
    places = {item.place: np.zeros_like(item.gains) for item in candidates}
    for fold in np.unique(numbers):
        inside = numbers == fold
        others = [item.of(~inside) for item in candidates]
        for candidate, judged in zip(candidates, judge(others, list(owners[~inside])), strict=True):
            if judged.taken:
                places[candidate.place][inside] = candidate.gains[inside]
    return [
        Candidate(*place, "chosen on the other folds", gains) for place, gains in places.items()
    ]


def _mirrorings(cases: Sequence[CaseEvidence]) -> Iterator[Candidate]:
    # A fold that was trained without mirroring an axis tells nothing about it.
    for name in cases[0].mirrored:
        if all(name in case.mirrored for case in cases):
            gains = [_mean_gain(case, case.mirrored[name]) for case in cases]
            yield Candidate(MIRRORING, ALL, name, np.array(gains))


def _cleanings(cases: Sequence[CaseEvidence]) -> Iterator[Candidate]:
    for name in cases[0].structures:
        for option in POSTPROCESSING:
            gains = [_gain(case.structures[name], option) for case in cases]
            yield Candidate(CLEANING, name, option, np.array(gains))


def _gain(structure: StructureEvidence, option: str) -> float:
    changed = structure.changed.get(option)
    return 0.0 if changed is None else _defined(changed.dice) - _defined(structure.plain.dice)


def _mean_gain(case: CaseEvidence, mirrored: Mapping[str, float | None]) -> float:
    gains = [
        _defined(mirrored[name]) - _defined(item.plain.dice)
        for name, item in case.structures.items()
    ]
    return float(np.mean(gains))


def _defined(dice: float | None) -> float:
    return 1.0 if dice is None else dice
