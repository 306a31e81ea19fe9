"""Splits cases into folds, grouped by patient or site."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise.config import FOLD_KINDS, DataSection
from slicewise.dataset.catalogue import Case
from slicewise.dataset.stratification import Volumes, stratified
from slicewise.errors import DataError, UsageError, file_problem
from slicewise.quantities import counted, listed


@dataclass(frozen=True)
class Fold:
    """One split into training and validation cases.

    Attributes:
        number: from 0.
        kind: how cases were split, such as "by patient"; reports show it with the results.
        train: names of the training cases.
        val: names of the validation cases.
    """

    number: int
    kind: str
    train: tuple[str, ...]
    val: tuple[str, ...]


def make_folds(
    cases: Sequence[Case], data: DataSection, volumes: Volumes | None = None
) -> list[Fold]:
    """Split a data set into folds.

    ``patient`` shuffles the sorted patients (scikit-learn's ``KFold``), so that all scans of a
    patient are in one fold; ``site`` does the same with sites, where sites that share a patient are
    merged; ``published`` with cases, as nnU-Net does, so that patients may be shared.
    ``stratified`` groups by patient and stratifies by volume. A split file is validated.

    Args:
        cases: of the whole data set, including unusable ones, so that these do not change folds.
        data: type of folds, count and seed.
        volumes: of the structures of each case; only for ``stratified``.

    Raises:
        DataError: too few patients or sites, an invalid split file, or a patient in both training
            and validation cases.
    """
    if data.folds not in FOLD_KINDS:
        return _given_folds(cases, Path(data.folds))
    group_of = _groups(cases, data.folds)
    groups = sorted(set(group_of.values()))
    if len(groups) < data.fold_count:
        raise _too_few(len(groups), cases, data)
    if data.folds == "stratified":
        assert volumes is not None, "folds are stratified by the volumes of the structures"
        held_out = stratified(cases, data, volumes)
    else:
        held_out = _held_out(groups, data)
    folds = []
    for number, out in enumerate(held_out):
        val = tuple(case.name for case in cases if group_of[case.name] in out)
        train = tuple(case.name for case in cases if group_of[case.name] not in out)
        folds.append(Fold(number, FOLD_KINDS[data.folds], train, val))
    return folds


def choose_fold(folds: Sequence[Fold], number: int, option: str = "fold") -> Fold:
    """One fold by its number.

    Args:
        folds: all of them.
        number: from 0.
        option: that the number was given by, for the error.

    Raises:
        UsageError: there is no such fold.
    """
    if not 0 <= number < len(folds):
        raise no_such_fold(number, len(folds), option)
    return folds[number]


def inner_fold(
    cases: Sequence[Case],
    data: DataSection,
    volumes_ml: Volumes,
    numbers: tuple[int, int],
) -> Fold:
    """One division by patient of the training cases of a fold.

    Args:
        cases: of the whole data set, labelled.
        data: with the type of folds.
        volumes_ml: of the structures of each case, for folds that are stratified by them.
        numbers: of the fold, and of the division of its training cases.

    Raises:
        UsageError: there is no such fold.
        DataError: too few patients.
    """
    outer = choose_fold(make_folds(cases, data, volumes_ml), numbers[0])
    training = set(outer.train)
    inside = [case for case in cases if case.name in training]
    by_patient = data.model_copy(update={"folds": "patient"})
    return choose_fold(make_folds(inside, by_patient, volumes_ml), numbers[1], "inner_fold")


def no_such_fold(number: int, count: int, option: str = "fold") -> UsageError:
    """The error for a fold that does not exist."""
    return UsageError(
        f"`{option}` {number}",
        expected=f"a fold from 0 to {count - 1}",
        found=f"fold {number}",
        remedy="choose one of these folds, or change data.fold_count",
    )


def shared_patients(fold: Fold, cases: Sequence[Case]) -> set[str]:
    """Patients in both training and validation cases of a fold."""
    train, val = set(fold.train), set(fold.val)
    return {case.patient for case in cases if case.name in train} & {
        case.patient for case in cases if case.name in val
    }


def _groups(cases: Sequence[Case], kind: str) -> dict[str, str]:
    """Group by case name; groups are not split."""
    if kind == "published":
        return {case.name: case.name for case in cases}
    if kind == "site":
        site_of = _joined_sites(cases)
        return {case.name: site_of[case.site] for case in cases}
    return {case.name: case.patient for case in cases}


def _joined_sites(cases: Sequence[Case]) -> dict[str, str]:
    """Merged site by site; sites that share patients are merged into the first of them."""
    joined = {case.site: case.site for case in cases}
    first_site: dict[str, str] = {}
    for case in sorted(cases, key=lambda case: (case.patient, case.site)):
        one, other = joined[first_site.setdefault(case.patient, case.site)], joined[case.site]
        low, high = sorted((one, other))
        joined = {site: low if group == high else group for site, group in joined.items()}
    return joined


def _too_few(count: int, cases: Sequence[Case], data: DataSection) -> DataError:
    if data.folds == "site":
        sites = len({case.site for case in cases})
        joined = f" of {sites}, after merging those that share patients"
        fewer = f"data.fold_count to {count}" if count > 1 else "data.folds to patient"
        return DataError(
            "data.fold_count",
            expected=f"at least {data.fold_count} sites",
            found=f"{counted(count, 'site')}{joined if count < sites else ''}",
            remedy=f"set {fewer}, or correct data.site_pattern",
        )
    by_case = data.folds == "published"
    return DataError(
        "data.fold_count",
        expected=f"at least {data.fold_count} {'cases' if by_case else 'patients'}",
        found=counted(count, "case" if by_case else "patient"),
        remedy="lower data.fold_count, or correct data.patient_pattern",
    )


def _held_out(groups: list[str], data: DataSection) -> list[set[str]]:
    # scikit-learn takes half a second to import.
    from sklearn.model_selection import KFold

    folds = KFold(n_splits=data.fold_count, shuffle=True, random_state=data.fold_seed)
    return [set(np.array(groups)[held_out]) for _, held_out in folds.split(groups)]


def _given_folds(cases: Sequence[Case], path: Path) -> list[Fold]:
    known = {case.name for case in cases}
    folds = []
    for number, entry in enumerate(_entries(path)):
        fold = Fold(number, f"from {path.name}", tuple(entry["train"]), tuple(entry["val"]))
        unknown = sorted((set(fold.train) | set(fold.val)) - known)
        if unknown:
            raise DataError(
                f"{path}: fold {number}",
                expected="names of cases in the data set",
                found=listed(unknown),
                remedy="correct the split file; names are without suffix",
            )
        shared = sorted(shared_patients(fold, cases))
        if shared:
            raise DataError(
                f"{path}: fold {number}",
                expected="each patient either in train or in val",
                found=f"in both: {listed(shared)}",
                remedy="move all scans of a patient to train or to val",
            )
        folds.append(fold)
    return folds


def _entries(path: Path) -> list[dict[str, list[str]]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = file_problem(error)
    except ValueError as error:
        found = str(error)
    else:
        found = "another structure"
        if isinstance(entries, list) and entries and all(_is_entry(entry) for entry in entries):
            return entries
    raise DataError(
        f"data.folds: {path}",
        expected=f"{', '.join(FOLD_KINDS)}, or a JSON file such as "
        '[{"train": [...], "val": [...]}]',
        found=found,
        remedy="correct data.folds or the file",
    )


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(names := entry.get(side), list)
        and names
        and all(isinstance(name, str) for name in names)
        for side in ("train", "val")
    )
