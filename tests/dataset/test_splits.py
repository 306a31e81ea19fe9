"""Folds: every case held out once, no patient on both sides, equal to scikit-learn's."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Case
from slicewise.dataset.layouts import read_catalogue
from slicewise.dataset.patient_ids import patient_of
from slicewise.dataset.splits import choose_fold, make_folds, shared_patients
from slicewise.errors import DataError, UsageError

HIPPOCAMPUS = DataSection(patient_pattern=r"hippocampus_(\d+)", scans_per_patient=2)


def cases_of(patients: list[str]) -> list[Case]:
    return [
        Case(f"case{number:03d}", patient, (Path(f"{number}.nii"),), None)
        for number, patient in enumerate(patients)
    ]


def hippocampus() -> list[Case]:
    # Numbers are missing, as in the public data set.
    names = [f"hippocampus_{number:03d}" for number in range(1, 400) if number % 3]
    return [Case(name, patient_of(name, HIPPOCAMPUS), (Path(name),), None) for name in names]


def split_file(folder: Path, content: object) -> DataSection:
    path = folder / "splits.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return DataSection(folds=str(path))


@given(
    patients=st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=60),
    fold_count=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=80)
def test_folds_of_any_patients(patients: list[str], fold_count: int, seed: int) -> None:
    cases = cases_of(patients)
    data = DataSection(fold_count=fold_count, fold_seed=seed)
    if len(set(patients)) < fold_count:
        with pytest.raises(DataError, match=f"at least {fold_count} patients"):
            make_folds(cases, data)
        return
    folds = make_folds(cases, data)
    assert [fold.number for fold in folds] == list(range(fold_count))
    held_out = Counter(name for fold in folds for name in fold.val)
    assert held_out == Counter(case.name for case in cases)
    patient = {case.name: case.patient for case in cases}
    for fold in folds:
        assert sorted(fold.train + fold.val) == sorted(patient)
        assert not {patient[name] for name in fold.train} & {patient[name] for name in fold.val}
        assert not shared_patients(fold, cases)


def test_patient_folds_are_those_of_scikit_learn_over_sorted_patients() -> None:
    cases = hippocampus()
    patients = np.array(sorted({case.patient for case in cases}))
    expected = KFold(5, shuffle=True, random_state=12345).split(patients)
    folds = make_folds(cases[::-1], HIPPOCAMPUS)
    for fold, (_, held_out) in zip(folds, expected, strict=True):
        numbers = {int(name[-3:]) for name in fold.val}
        assert {(number + 1) // 2 for number in numbers} == set(patients[held_out].astype(int))
        assert fold.kind == "by patient"


def test_published_folds_are_by_case_and_say_so() -> None:
    cases = hippocampus()
    names = np.array(sorted(case.name for case in cases))
    expected = KFold(5, shuffle=True, random_state=12345).split(names)
    folds = make_folds(cases[::-1], HIPPOCAMPUS.model_copy(update={"folds": "published"}))
    for fold, (train, held_out) in zip(folds, expected, strict=True):
        assert set(fold.val) == set(names[held_out])
        assert set(fold.train) == set(names[train])
        assert fold.kind == "by case, patients shared"
        assert shared_patients(fold, cases)


def test_shared_patients_are_named() -> None:
    cases = cases_of(["a", "a", "b", "c"])
    (fold,) = make_folds(cases[:2], DataSection(folds="published", fold_count=2))[:1]
    assert shared_patients(fold, cases) == {"a"}


def test_split_file_is_taken_as_it_is(tmp_path: Path) -> None:
    content = [
        {"train": ["case002", "case000"], "val": ["case003"]},
        {"train": ["case003"], "val": ["case000", "case001"]},
    ]
    folds = make_folds(cases_of(["a", "a", "b", "c"]), split_file(tmp_path, content))
    assert [(fold.number, fold.train, fold.val) for fold in folds] == [
        (0, ("case002", "case000"), ("case003",)),
        (1, ("case003",), ("case000", "case001")),
    ]
    assert folds[0].kind == "from splits.json"


@pytest.mark.fault(61, "E")
def test_split_file_with_a_patient_on_both_sides(tmp_path: Path) -> None:
    good = {"train": ["case000", "case001"], "val": ["case002"]}
    bad = {"train": ["case000", "case002"], "val": ["case001"]}
    data = split_file(tmp_path, [good, bad])
    with pytest.raises(DataError, match="fold 1") as caught:
        make_folds(cases_of(["anna", "anna", "berta"]), data)
    assert caught.value.found == "in both: anna"


def test_split_file_with_unknown_cases(tmp_path: Path) -> None:
    data = split_file(tmp_path, [{"train": ["case000", "zz"], "val": ["case001", "aa"]}])
    with pytest.raises(DataError, match="fold 0") as caught:
        make_folds(cases_of(["a", "b"]), data)
    assert caught.value.found == "aa, zz"


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "",
        [],
        {},
        [1],
        [{"train": ["case000"]}],
        [{"train": ["case000"], "val": []}],
        [{"train": "case000", "val": ["case001"]}],
        [{"train": [["case000"]], "val": ["case001"]}],
    ],
)
def test_split_file_of_another_structure(tmp_path: Path, content: object) -> None:
    data = split_file(tmp_path, content)
    with pytest.raises(DataError, match=r"data\.folds") as caught:
        make_folds(cases_of(["a", "b"]), data)
    assert "splits.json" in caught.value.where


def test_split_file_that_is_absent_or_misspelt() -> None:
    with pytest.raises(
        DataError, match="patient, stratified, site, published, or a JSON file"
    ) as caught:
        make_folds(cases_of(["a", "b"]), DataSection(folds="patients"))
    assert caught.value.found == "No such file or directory"


def test_too_few_cases() -> None:
    with pytest.raises(DataError, match="at least 5 cases"):
        make_folds(cases_of(list("abcd")), DataSection(folds="published"))


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_fold_out_of_range(number: int) -> None:
    folds = make_folds(cases_of(list("abcd")), DataSection(fold_count=2))
    assert choose_fold(folds, 1) is folds[1]
    with pytest.raises(UsageError, match="0 to 1"):
        choose_fold(folds, number)
    with pytest.raises(UsageError, match="`inner_fold`"):
        choose_fold(folds, number, "inner_fold")


@pytest.mark.data
def test_published_folds_of_the_hippocampus(test_data: Path) -> None:
    data = HIPPOCAMPUS.model_copy(update={"root": test_data / "Task04_Hippocampus"})
    cases = read_catalogue(data).cases
    published = make_folds(cases, data.model_copy(update={"folds": "published"}))
    assert [(len(fold.train), len(fold.val)) for fold in published] == [(208, 52)] * 5
    assert len(shared_patients(published[0], cases)) > 0
    for fold in make_folds(cases, data):
        assert len(fold.train) + len(fold.val) == 260
        assert not shared_patients(fold, cases)
