"""Finds scans that are in a data set under several names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.data_set_problem import DataSetProblem
from slicewise.dataset.grouping import joined
from slicewise.quantities import listed

_MAX_SHOWN = 8
_MOST_NAMED = 4


@dataclass(frozen=True)
class Duplicates:
    """The copies in a data set.

    Attributes:
        groups: names of the cases with the same scan.
        left_out: copy to the case that is kept instead, with ``data.duplicates: keep_first``.
        relabelled: of these, the copies whose label differs.
    """

    groups: tuple[tuple[str, ...], ...]
    left_out: dict[str, str]
    relabelled: frozenset[str] = frozenset()

    @property
    def problems(self) -> Iterator[DataSetProblem]:
        """Why the data set cannot be used: a scan could be trained on and held out."""
        if self.groups and not self.left_out:
            yield DataSetProblem(
                expected="no duplicate scans",
                found=f"the same scan under several names: {_named(self.groups)}",
                remedy="keep one of each and remove the others, or set "
                "data.duplicates=keep_first to use the first of each",
            )

    @property
    def notes(self) -> Iterator[str]:
        """Which copies are left out."""
        if self.left_out:
            texts = (
                f"{name} (copy of {kept}{', with another label' * (name in self.relabelled)})"
                for name, kept in self.left_out.items()
            )
            advice = "; keep the case whose label is better" if self.relabelled else ""
            yield f"left out by data.duplicates: {listed(texts, most=_MAX_SHOWN)}{advice}"


def mark_duplicates(cases: Sequence[CheckedCase], data: DataSection) -> Duplicates:
    """Find scans with the same voxels in any contrast, and mark their cases.

    Storage order, header, data type and scale of the intensities do not matter. Copies without a
    label are ignored if another one has a label. Copies are problems of their cases; with
    ``keep_first`` all but the first name are left out, with a warning.
    """
    groups = [_counting(same) for same in _same_scans(cases)]
    groups = [same for same in groups if len(same) > 1]
    left_out: dict[str, str] = {}
    relabelled = set()
    for same in groups:
        first, *others = same
        if data.duplicates == "keep_first":
            for case in others:
                left_out[case.name] = first.name
                case.warnings.append(f"left out: {_Copies.of([first, case]).relation(case)}")
                if case.label_digest != first.label_digest:
                    relabelled.add(case.name)
            continue
        copies = _Copies.of(same)
        for case in same:
            case.problems.append(f"{copies.relation(case)}; remove all but one")
    names = tuple(tuple(case.name for case in same) for same in groups)
    return Duplicates(names, dict(sorted(left_out.items())), frozenset(relabelled))


def _same_scans(cases: Iterable[CheckedCase]) -> list[list[CheckedCase]]:
    """Groups of cases that share a scan, directly or through another case."""
    by_name = {case.name: case for case in cases}
    sharing: dict[str, list[str]] = {}
    for case in by_name.values():
        for digests in case.digests.values():
            sharing.setdefault(digests.order, []).append(case.name)
    return [[by_name[name] for name in names] for names in joined(sharing.values())]


def _counting(same: list[CheckedCase]) -> list[CheckedCase]:
    return [case for case in same if case.labelled] or same


@dataclass(frozen=True)
class _Copies:
    """A group of cases with the same scan, told to each of them.

    Attributes:
        names: of the cases.
        cases_with: number of cases with the voxels of a digest in any contrast.
        labels: digests of their label maps.
    """

    names: tuple[str, ...]
    cases_with: Counter[str]
    labels: frozenset[str]

    @classmethod
    def of(cls, same: Sequence[CheckedCase]) -> Self:
        return cls(
            tuple(case.name for case in same),
            Counter(voxels for case in same for voxels in _voxels_of(case)),
            frozenset(case.label_digest for case in same),
        )

    def relation(self, case: CheckedCase) -> str:
        """What a case of the group has in common with the others."""
        # There may be thousands of copies, which are told to thousands of copies.
        others = [name for name in self.names[: _MOST_NAMED + 1] if name != case.name]
        named = listed(others, most=_MOST_NAMED, of=len(self.names) - 1)
        what = f"the same voxels as {named}"
        if all(self.cases_with[voxels] == 1 for voxels in _voxels_of(case)):
            what = f"the same scan as {named}, with other intensities"
        return f"{what}, with another label" if len(self.labels) > 1 else what


def _voxels_of(case: CheckedCase) -> set[str]:
    return {digests.voxels for digests in case.digests.values()}


def _named(groups: Sequence[tuple[str, ...]]) -> str:
    more = f"; and {len(groups) - _MAX_SHOWN} more" if len(groups) > _MAX_SHOWN else ""
    return "; ".join(listed(names) for names in groups[:_MAX_SHOWN]) + more
