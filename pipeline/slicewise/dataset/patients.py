"""Detects cases that seem to share a patient, by their names or intensities."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import DataSection
from slicewise.dataset.patient_ids import patient_of
from slicewise.quantities import listed

FEWEST_PAIRS = 5
"""Minimum number of consecutive pairs for a decision by intensities."""
_SHARE_WITHIN, _SHARE_ACROSS = 0.8, 0.4
_SAME_STEP = 1e-4
_MOST_SAMPLED = 2**18
_FEWEST_GROUPS = 3
_MOST_PARTS = 4
_DELIMITERS = "_. -"
_PERSON = re.compile(
    r"(?:^|[_. -])(?:sub|subj|subject|pat|patient|pt|p|person|participant|volunteer|id|case)"
    r"[_. -]?\d+$",
    re.IGNORECASE,
)
_NO_PERSON = re.compile(
    r"(?:^|[_. -])(?:site|center|centre|hospital|scanner|vendor|batch|study|cohort|fold)"
    r"[_. -]?[^_. -]+$",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d\d$")


@dataclass(frozen=True)
class LikelyPatients:
    """Patients that seem to have several scans.

    Attributes:
        pattern: for ``data.patient_pattern``.
        scans_per_patient: for ``data.scans_per_patient``.
        patients: number of patients with this pattern.
        reason: evidence.
    """

    pattern: str
    scans_per_patient: int
    patients: int
    reason: str

    def patient_of(self, name: str) -> str:
        """The patient of a case."""
        return patient_of(name, self._section)

    @cached_property
    def _section(self) -> DataSection:
        return DataSection(patient_pattern=self.pattern, scans_per_patient=self.scans_per_patient)

    @property
    def advice(self) -> str:
        """Evidence, and the keys to set."""
        numbered = f" and data.scans_per_patient={self.scans_per_patient}"
        return (
            f"some scans seem to share a patient: {self.reason}; "
            f"set data.patient_pattern='{self.pattern}'"
            f"{numbered if self.scans_per_patient > 1 else ''} so that folds do not split patients"
        )


def likely_patients(
    names: Sequence[str], steps: Mapping[str, float] | None = None
) -> LikelyPatients | None:
    """Find scans that seem to share a patient, by names or else by intensities.

    A single pair is not sufficient evidence.

    Args:
        names: of all cases.
        steps: intensity step by case name, see ``intensity_step``.

    Returns:
        None without evidence.
    """
    return _by_name(sorted(names)) or _by_steps(names, steps or {})


def intensity_step(voxels: NDArray[Any]) -> float:
    """Smallest difference of two intensities of a scan; 0 if all are equal.

    Scans that were rescaled together, such as the halves of one scan, have the same step.

    Args:
        voxels: any shape; a large scan is subsampled.
    """
    sampled = voxels.ravel()[:: -(-voxels.size // _MOST_SAMPLED)]
    values = np.unique(sampled[np.isfinite(sampled)]).astype(np.float64)
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _by_name(names: Sequence[str]) -> LikelyPatients | None:
    if not names:
        return None
    candidates = [
        (pattern, groups)
        for pattern in _patterns(names)
        if (groups := _groups(pattern, names)) and _are_shared(groups)
    ]
    for is_enough in (_name_people, _repeat_their_scans):
        for pattern, groups in candidates:
            if is_enough(groups):
                return LikelyPatients(pattern, 1, len(groups), _names_alike(groups))
    return None


def _patterns(names: Sequence[str]) -> Iterator[str]:
    """Regular expressions of prefixes of all names, the shortest first."""
    literal = _common_start(names)
    # A dash needs no escape here.
    yield f"^{re.escape(literal)}(\\d+)".replace("\\-", "-")
    used = "".join(mark for mark in _DELIMITERS if any(mark in name for name in names))
    if used:
        part, delimiter = f"[^{re.escape(used)}]+", f"[{re.escape(used)}]+"
        for count in range(1, _MOST_PARTS + 1):
            yield "^(" + delimiter.join([part] * count) + ")"


def _common_start(texts: Collection[str]) -> str:
    """Common prefix of all texts, without trailing digits."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(min(texts), max(texts), strict=False))
    return "".join(letter for letter, _ in same).rstrip("0123456789")


def _groups(pattern: str, names: Sequence[str]) -> dict[str, list[str]]:
    """Names by prefix; empty if the pattern does not match all names."""
    groups: dict[str, list[str]] = {}
    for name in names:
        match = re.match(pattern, name)
        if match is None:
            return {}
        groups.setdefault(match.group(0), []).append(name)
    return groups


def _are_shared(groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether several prefixes are shared, and could be those of persons."""
    several = sum(len(names) > 1 for names in groups.values())
    common = len(_common_start(groups))
    numbered = all(re.search(r"\d", group[common:]) for group in groups)
    if any(_NO_PERSON.search(group) for group in groups):
        return False
    # Some of two thousand patients have the number of a year.
    return several > 1 and numbered and not all(_YEAR.search(group) for group in groups)


def _name_people(groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether the prefixes are names of persons, such as ``patient001`` or ``sub-03``."""
    return all(_PERSON.search(group) for group in groups)


def _repeat_their_scans(groups: Mapping[str, Sequence[str]]) -> bool:
    """Whether the suffixes repeat, such as ``left`` or ``frame01``."""
    if len(groups) < _FEWEST_GROUPS:
        return False
    rests = [name[len(group) :] for group, names in groups.items() for name in names]
    single = sum(count == 1 for count in Counter(rests).values())
    return len(set(rests)) > single and len(rests) >= 2 * single


def _names_alike(groups: Mapping[str, Sequence[str]]) -> str:
    shared = [names for names in groups.values() if len(names) > 1]
    scans = sum(len(names) for names in shared)
    return (
        f"{scans} names share their prefix with others, such as {listed(shared[0], most=3)}, "
        f"in {len(shared)} groups"
    )


def _by_steps(names: Sequence[str], steps: Mapping[str, float]) -> LikelyPatients | None:
    """Evidence that scans 2k-1 and 2k share their intensity step more often than 2k and 2k+1."""
    pattern = next(_patterns(names), "") if names else ""
    groups = _groups(pattern, names)
    if len(groups) != len(names) or any(len(same) > 1 for same in groups.values()):
        return None
    step_of: dict[int, float] = {}
    for name in names:
        match = re.match(pattern, name)
        assert match is not None
        step_of[int(match.group(1))] = steps.get(name, 0.0)
    within = _sharing(step_of, first=1)
    across = _sharing(step_of, first=0)
    if len(within) < FEWEST_PAIRS or len(across) < FEWEST_PAIRS:
        return None
    if np.mean(within) < _SHARE_WITHIN or np.mean(across) > _SHARE_ACROSS:
        return None
    reason = (
        f"scans 2k-1 and 2k have the same intensity step in {sum(within)} of "
        f"{len(within)} pairs, 2k and 2k+1 in {sum(across)} of {len(across)}"
    )
    likely = LikelyPatients(pattern, 2, 0, reason)
    return replace(likely, patients=len({likely.patient_of(name) for name in names}))


def _sharing(step_of: Mapping[int, float], first: int) -> list[bool]:
    """Whether the next scan has the same step, for each number with the parity of ``first``."""
    return [
        step > 0 and abs(step_of[number + 1] - step) <= _SAME_STEP * step
        for number, step in step_of.items()
        if number % 2 == first and number + 1 in step_of
    ]
