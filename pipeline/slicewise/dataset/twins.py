"""Finds scans that may be of one person although their patients differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.fingerprints import vector_of
from slicewise.dataset.grouping import joined
from slicewise.quantities import listed

NEARLY_EQUAL = 0.96
"""Correlation of the signatures of scans of one person. Scans of different persons had at most
0.94, heads in one standard space; the phases of a cine had 0.997."""
FEWEST_CASES = 8
"""Minimum number of cases to compare pairs with the other pairs."""
MARGIN = 0.25
"""How much more similar to each other than to any third scan two scans of one person are, as a
difference of Fisher's z. It was at most 0.19 for different persons in six public data sets."""
MOST_COMPARED = 20_000
"""Number of cases up to which all pairs are compared, which takes minutes."""
_ALIKE = 0.5
_MAX_LEVELS = 2**16
_MAX_SHARING = 4
_ROWS = 512
_SAME_STEP = 1e-4
_MAX_SHOWN = 6


@dataclass(frozen=True)
class PossibleTwins:
    """Cases of different patients that may be of one person.

    Attributes:
        names: of the cases.
        reason: what they share.
    """

    names: tuple[str, ...]
    reason: str


def possible_twins(
    cases: Sequence[CheckedCase], patients: Mapping[str, str]
) -> list[PossibleTwins]:
    """Groups of cases that look alike, or whose intensities were scaled together.

    Of more than ``MOST_COMPARED`` cases, looks are not compared.

    Args:
        cases: without copies of one another.
        patients: of each case.
    """
    reasons: dict[tuple[str, ...], str] = {}
    alike = _alike(cases, patients) if len(cases) <= MOST_COMPARED else ()
    for (one, other), reason in (*_with_equal_steps(cases), *alike):
        if patients[one.name] != patients[other.name]:
            reasons.setdefault((one.name, other.name), reason)
    groups = joined(reasons)
    group_of = {name: names for names in groups for name in names}
    reason_of: dict[tuple[str, ...], str] = {}
    for (name, _), reason in reasons.items():
        reason_of.setdefault(group_of[name], reason)
    return [PossibleTwins(names, reason_of[names]) for names in groups]


def drop_looks_of_many(case: CheckedCase, cases: int) -> None:
    """Drop the signature, most of what is kept of a case, where there are too many to compare.

    Args:
        case: that was checked.
        cases: number of cases of the data set.
    """
    if cases > MOST_COMPARED:
        case.signature = ""


def twins_note(twins: Sequence[PossibleTwins]) -> str:
    """One sentence about all of them."""
    groups = (f"{listed(group.names, most=4)} ({group.reason})" for group in twins)
    more = f"; and {len(twins) - _MAX_SHOWN} more" if len(twins) > _MAX_SHOWN else ""
    return (
        f"possibly of one person: {'; '.join(islice(groups, _MAX_SHOWN))}{more}. If so, give them "
        "one patient, by data.patient_pattern or the column patient of a CSV manifest, so that "
        "folds do not separate them"
    )


_Pair = tuple[tuple[CheckedCase, CheckedCase], str]


def _with_equal_steps(cases: Sequence[CheckedCase]) -> Iterator[_Pair]:
    """Pairs with the same fractional quantisation, which few others have.

    Scans are often scaled by a factor of their own, such as the rescale slope of DICOM.
    """
    if len(cases) < FEWEST_CASES:
        return
    fractional = sorted(
        (case for case in cases if _is_telling(case)), key=lambda case: case.intensity_step
    )
    most = min(_MAX_SHARING, max(2, len(cases) // 4))
    for same in _runs(fractional):
        if 1 < len(same) <= most:
            reason = f"the same intensity step {same[0].intensity_step:.4g}"
            for one, other in combinations(same, 2):
                yield (one, other), reason


def _is_telling(case: CheckedCase) -> bool:
    """Whether intensities are quantised in steps that are no whole numbers."""
    step = case.intensity_step
    if step <= 0 or abs(step - round(step)) <= _SAME_STEP * step:
        return False
    first = next(iter(case.intensities.values()), None)
    return first is not None and first.highest - first.lowest <= _MAX_LEVELS * step


def _runs(ordered: Sequence[CheckedCase]) -> Iterator[list[CheckedCase]]:
    """Cases with equal steps, from a list in the order of the steps."""
    run: list[CheckedCase] = []
    for case in ordered:
        if run and case.intensity_step > run[-1].intensity_step * (1 + _SAME_STEP):
            yield run
            run = []
        run.append(case)
    if run:
        yield run


def _alike(cases: Sequence[CheckedCase], patients: Mapping[str, str]) -> Iterator[_Pair]:
    """Pairs whose coarse structure is nearly equal, or far more similar than that of others."""
    of_length: dict[int, list[CheckedCase]] = {}
    for case in cases:
        of_length.setdefault(len(case.signature), []).append(case)
    for group in of_length.values():
        rows = np.array([vector_of(case.signature) for case in group], np.float32)
        # Without detail in a scan there is nothing to compare.
        detailed = np.flatnonzero(rows.any(axis=1))
        compared, rows = [group[place] for place in detailed], rows[detailed]
        _, people = np.unique([patients[case.name] for case in compared], return_inverse=True)
        for left, right, correlation in _similar(rows, people):
            reason = f"alike, correlation {correlation:.2f}"
            yield (compared[left], compared[right]), reason


def _newly_connected(
    left: int, others: NDArray[np.integer], groups: NDArray[np.integer]
) -> list[int]:
    """Those of others that belong to a group that is not connected with this scan yet."""
    later = others[others > left]
    apart = later[groups[later] != groups[left]]
    found, firsts = np.unique(groups[apart], return_index=True)
    groups[np.isin(groups, found)] = groups[left]
    return sorted(apart[firsts].tolist())


def _similar(
    rows: NDArray[np.float32], people: NDArray[np.integer]
) -> Iterator[tuple[int, int, float]]:
    """Pairs of different patients, with their correlation.

    Of many scans that are nearly equal there are as many pairs as it takes to connect them.
    """
    count = len(rows)
    groups: NDArray[np.integer] = np.arange(count)
    nearest, first, second = np.zeros(count, dtype=int), np.zeros(count), np.zeros(count)
    for start in range(0, count, _ROWS):
        part = slice(start, start + _ROWS)
        correlation = rows[part] @ rows.T
        correlation[people[part, None] == people[None]] = -1
        equal = correlation >= NEARLY_EQUAL
        for below in np.flatnonzero(equal.any(axis=1)).tolist():
            left = start + below
            for other in _newly_connected(left, np.flatnonzero(equal[below]), groups):
                yield left, other, float(correlation[below, other])
        nearest[part], first[part] = correlation.argmax(axis=1), correlation.max(axis=1)
        second[part] = np.partition(correlation, -2, axis=1)[:, -2] if count > 1 else -1
    if count < FEWEST_CASES:
        return
    margin = np.arctanh(np.clip(first, -1, 0.999)) - np.arctanh(np.clip(second, -0.999, 0.999))
    for left in np.flatnonzero((first >= _ALIKE) & (margin >= MARGIN)).tolist():
        right = nearest[left]
        if left < right and nearest[right] == left and margin[right] >= MARGIN:
            yield int(left), int(right), float(first[left])
