"""Candidates of inference tuning: ways to make a mask, and which of them held-out cases favour.

Where neither mask nor reference holds anything, Dice is undefined. Here, and here alone, it counts
as 1: removing a false-positive structure must be seen to gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slicewise.evaluation.inference_tuning.evidence import CaseEvidence, StructureEvidence
from slicewise.evaluation.inference_tuning.options import POSTPROCESSING
from slicewise.evaluation.paired_difference import (
    PairedDifference,
    corrected,
    paired_difference,
)
from slicewise.evaluation.paired_tests import SIGNIFICANT, Floats

LEAST_GAIN = 0.001
"""Mean gain of Dice below which a candidate is not taken, however certain the gain is."""
ALL = "all"
"""Stands for all structures, where a candidate changes the masks of all at once."""
MIRRORING = "mirroring"
POST_PROCESSING = "post-processing"


@dataclass(frozen=True)
class Candidate:
    """One way to make a mask, instead of the plain one.

    Attributes:
        kind: ``mirroring`` or ``post-processing``.
        structure: whose mask it changes; all of them in mirroring.
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
class TestedCandidate:
    """A candidate and the test of its gain.

    Attributes:
        candidate: that was tried.
        gain: of Dice, p-values corrected over all candidates that were tried.
        taken: whether the gain is significant and large enough, and the best of its place.
    """

    candidate: Candidate
    gain: PairedDifference
    taken: bool


def find_candidates(cases: Sequence[CaseEvidence]) -> list[Candidate]:
    """All ways that change the Dice of any case; others need no test."""
    found = [*_mirrorings(cases), *_postprocessings(cases)]
    return [item for item in found if item.gains.any()]


def select_candidates(
    candidates: Sequence[Candidate], patients: Sequence[str]
) -> list[TestedCandidate]:
    """Test all candidates at once; of each place the best that passes is taken."""
    gains = corrected([paired_difference(item.gains, patients) for item in candidates])
    best: dict[tuple[str, str], int] = {}
    for number, (candidate, gain) in enumerate(zip(candidates, gains, strict=True)):
        if gain.p_corrected < SIGNIFICANT and gain.mean >= LEAST_GAIN:
            # Of equal ones the first, which does less.
            leader = best.setdefault(candidate.place, number)
            if gain.mean > gains[leader].mean:
                best[candidate.place] = number
    return [
        TestedCandidate(candidate, gains[number], best.get(candidate.place) == number)
        for number, candidate in enumerate(candidates)
    ]


def cross_fitted(
    candidates: Sequence[Candidate], patients: Sequence[str], folds: Sequence[int]
) -> list[Candidate]:
    """What the selection itself gains: for each fold it is made on the other folds alone.

    Returns:
        One candidate a place, whose gains owe nothing to the case that they are measured on.
    """
    owners, numbers = np.array(patients), np.array(folds)
    places = {item.place: np.zeros_like(item.gains) for item in candidates}
    for fold in np.unique(numbers):
        inside = numbers == fold
        others = [item.of(~inside) for item in candidates]
        selected = select_candidates(others, list(owners[~inside]))
        for candidate, tested in zip(candidates, selected, strict=True):
            if tested.taken:
                places[candidate.place][inside] = candidate.gains[inside]
    return [
        Candidate(*place, "chosen on the other folds", gains) for place, gains in places.items()
    ]


def _mirrorings(cases: Sequence[CaseEvidence]) -> Iterator[Candidate]:
    # A fold that was trained without mirroring an axis has no evidence about it.
    for name in cases[0].mirrored:
        if all(name in case.mirrored for case in cases):
            gains = [_mean_gain(case, case.mirrored[name]) for case in cases]
            yield Candidate(MIRRORING, ALL, name, np.array(gains))


def _postprocessings(cases: Sequence[CaseEvidence]) -> Iterator[Candidate]:
    for name in cases[0].structures:
        for option in POSTPROCESSING:
            gains = [_gain(case.structures[name], option) for case in cases]
            yield Candidate(POST_PROCESSING, name, option, np.array(gains))


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
