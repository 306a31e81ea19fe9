"""Stratified folds: like volumes in each, patients together, any small set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Case
from slicewise.dataset.splits import make_folds
from slicewise.dataset.stratification import volume_classes
from slicewise.errors import DataError

Volumes = dict[str, dict[int, float]]


def cases_of(patients: list[str], sites: list[str] | None = None) -> list[Case]:
    return [
        Case(f"case{n:03d}", patient, (Path(f"{n}.nii"),), None, sites[n] if sites else "")
        for n, patient in enumerate(patients)
    ]


def stratified(count: int = 5, seed: int = 12345) -> DataSection:
    return DataSection(folds="stratified", fold_count=count, fold_seed=seed)


def test_each_fold_has_small_and_large_structures() -> None:
    random = np.random.default_rng(3)
    cases = cases_of([f"p{number // 2:02d}" for number in range(100)])
    # The two scans of a patient are alike; patients span three orders of magnitude.
    sizes = np.repeat(np.exp(random.uniform(0, 7, 50)), 2) * random.uniform(0.9, 1.1, 100)
    volumes = {case.name: {1: float(size)} for case, size in zip(cases, sizes, strict=True)}
    folds = make_folds(cases, stratified(), volumes)
    fifths = np.quantile(sizes, [0.2, 0.4, 0.6, 0.8])
    for fold in folds:
        assert fold.kind == "by patient, stratified by volume"
        assert len(fold.val) == 20
        held_out = [volumes[name][1] for name in fold.val]
        # Of each fifth of the volumes a fifth, give or take a patient on its border.
        counts = np.bincount(np.searchsorted(fifths, held_out), minlength=5)
        assert (abs(counts - 4) <= 2).all(), counts
    # Shuffling alone does not do that.
    plain = make_folds(cases, DataSection())
    means = [
        np.std([np.mean(np.log([volumes[name][1] for name in fold.val])) for fold in kind])
        for kind in (folds, plain)
    ]
    assert means[0] < 0.5 * means[1]


def test_a_rare_structure_is_in_every_fold() -> None:
    cases = cases_of([f"p{number:02d}" for number in range(40)])
    volumes: Volumes = {case.name: {1: 10.0 + n} for n, case in enumerate(cases)}
    for number in (0, 1, 2, 3, 4, 5, 6, 7):
        volumes[f"case{number:03d}"][2] = 0.1
    for fold in make_folds(cases, stratified(4), volumes):
        assert sum(2 in volumes[name] for name in fold.val) == 2
        assert len(fold.val) == 10


def test_classes_are_quantiles_of_the_mean_rank() -> None:
    cases = cases_of(["a", "a", "b", "c", "d", "e"])
    # Mean volumes of a: 20 and 4. Ranks 1..4 of the first: b a c d; of the second: b c a d.
    volumes: Volumes = {
        "case000": {1: 10, 2: 4}, "case001": {1: 30, 2: 4},
        "case002": {1: 5, 2: 1}, "case003": {1: 25, 2: 2}, "case004": {1: 40, 2: 9},
    }  # fmt: skip
    # Mean ranks: b 1, a 2.5, c 2.5, d 4; of equals the first name first. E has no structure.
    assert volume_classes(cases, volumes, 2) == {"b": 0, "a": 0, "c": 1, "d": 1, "e": 2}
    # Four patients are too few for two classes of three.
    assert volume_classes(cases, volumes, 3) == {"b": 0, "a": 0, "c": 0, "d": 0, "e": 1}


@given(
    patients=st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=40),
    fold_count=st.integers(2, 6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=150)
def test_any_patients_with_any_structures(patients: list[str], fold_count: int, seed: int) -> None:
    cases, data = cases_of(patients), stratified(fold_count, seed)
    draw = np.random.default_rng(seed)
    # Some structures are missing, some volumes equal, some cases were set aside.
    volumes: Volumes = {
        case.name: {value: float(draw.integers(1, 5)) for value in (1, 2, 7) if draw.random() < 0.7}
        for case in cases
        if draw.random() < 0.9
    }
    if len(set(patients)) < fold_count:
        with pytest.raises(DataError, match=f"at least {fold_count} patients"):
            make_folds(cases, data, volumes)
        return
    folds = make_folds(cases, data, volumes)
    assert folds == make_folds(cases, data, volumes)
    held_out = Counter(name for fold in folds for name in fold.val)
    assert held_out == Counter(case.name for case in cases)
    patient = {case.name: case.patient for case in cases}
    for fold in folds:
        assert fold.val
        assert not {patient[name] for name in fold.train} & {patient[name] for name in fold.val}
    in_other_order = make_folds(cases[::-1], data, volumes)
    assert [set(fold.val) for fold in in_other_order] == [set(fold.val) for fold in folds]


def test_the_seed_decides() -> None:
    cases = cases_of([f"p{number:02d}" for number in range(30)])
    volumes = {case.name: {1: float(n)} for n, case in enumerate(cases)}
    one, other = (make_folds(cases, stratified(seed=seed), volumes) for seed in (1, 2))
    assert [fold.val for fold in one] != [fold.val for fold in other]


# Sites


def by_site(count: int) -> DataSection:
    return DataSection(folds="site", site_pattern="(.)", fold_count=count)


def test_sites_are_not_divided() -> None:
    sites = list("aaabbccccdd")
    cases = cases_of([f"p{number}" for number in range(len(sites))], sites)
    folds = make_folds(cases, by_site(2))
    site = {case.name: case.site for case in cases}
    assert Counter(name for fold in folds for name in fold.val) == Counter(list(site))
    for fold in folds:
        assert fold.kind == "by site"
        assert not {site[name] for name in fold.train} & {site[name] for name in fold.val}
        assert len({site[name] for name in fold.val}) == 2
    each = make_folds(cases, by_site(4))
    assert sorted(len(fold.val) for fold in each) == [2, 2, 3, 4]


def test_sites_that_share_a_patient_are_one() -> None:
    # Anna was in a and c, Berta in c and d: the three sites stay together.
    cases = cases_of(["anna", "p1", "anna", "berta", "berta", "p5"], list("abccdb"))
    folds = make_folds(cases, by_site(2))
    assert sorted(len(fold.val) for fold in folds) == [2, 4]
    with pytest.raises(DataError, match="at least 3 sites") as caught:
        make_folds(cases, by_site(3))
    assert caught.value.found == "2 sites of 4, after merging those that share patients"
    assert "data.fold_count to 2" in caught.value.remedy


def test_a_single_site_cannot_be_divided() -> None:
    with pytest.raises(DataError, match="at least 2 sites") as caught:
        make_folds(cases_of(["a", "b", "c"], ["x", "x", "x"]), by_site(2))
    assert caught.value.found == "1 site"
    assert "data.folds to patient" in caught.value.remedy
