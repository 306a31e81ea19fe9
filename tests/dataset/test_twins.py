"""Scans that may be of one person, and those that only have something in common."""

from __future__ import annotations

import numpy as np
import pytest
from tests.linear_time import linear_time

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase, Intensities
from slicewise.dataset.cohort_qc import compare
from slicewise.dataset.fingerprints import signature
from slicewise.dataset.twins import drop_looks_of_many, possible_twins, twins_note
from slicewise.imaging.volume import Volume

SHAPE = (24, 20, 18)


def a_case(number: int, person: int, step: float = 1.0, noise: float = 3) -> CheckedCase:
    """A scan of a person, with noise of its own."""
    anatomy = np.random.default_rng(person).normal(100, 20, SHAPE)
    own = np.random.default_rng(1000 + number).normal(0, noise, SHAPE)
    name = f"scan{number:02d}"
    return CheckedCase(
        name,
        name,
        intensities={"image": Intensities(0, 10, 50, 210, 1000 * step)},
        intensity_step=step,
        signature=signature(Volume(anatomy + own, np.eye(4))),
    )


def found(cases: list[CheckedCase]) -> list[tuple[str, ...]]:
    patients = {case.name: case.patient for case in cases}
    return [twins.names for twins in possible_twins(cases, patients)]


@pytest.mark.fault(139, "W")
def test_three_pairs_among_twelve_scans() -> None:
    persons = (0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8)
    cases = [a_case(number, person) for number, person in enumerate(persons)]
    twins = possible_twins(cases, {case.name: case.patient for case in cases})
    pairs = [("scan00", "scan01"), ("scan04", "scan05"), ("scan08", "scan09")]
    assert [one.names for one in twins] == pairs
    note = twins_note(twins)
    assert note.startswith("possibly of one person: scan00, scan01 (alike, correlation 0.9")
    assert "data.patient_pattern" in note


@pytest.mark.fault(139, "W")
def test_three_pairs_that_were_scaled_together() -> None:
    steps = (0.37, 0.37, 0.41, 0.43, 5.958862, 5.958862, 0.29, 0.31, 1000.25, 1000.25, 0.6, 0.7)
    cases = [a_case(number, number, step) for number, step in enumerate(steps)]
    assert found(cases) == [("scan00", "scan01"), ("scan04", "scan05"), ("scan08", "scan09")]


@pytest.mark.parametrize(
    "steps",
    [
        # Whole numbers, and a factor of all.
        [1.0] * 12,
        [4.0] * 12,
        [0.5] * 12,
    ],
)
def test_common_steps_mean_nothing(steps: list[float]) -> None:
    assert found([a_case(number, number, step) for number, step in enumerate(steps)]) == []


def test_the_precision_of_floating_point_is_no_step() -> None:
    cases = [a_case(number, number, 2.0 ** (-17 + number // 2)) for number in range(12)]
    for case in cases:
        case.intensities["image"] = Intensities(0, 10, 50, 210, 300)
    assert found(cases) == []


def test_scans_of_one_patient_are_no_twins() -> None:
    cases = [a_case(number, number // 2) for number in range(12)]
    assert len(found(cases)) == 6
    for number, case in enumerate(cases):
        case.patient = f"patient {number // 2}"
    assert found(cases) == []


def test_two_scans_are_compared_by_likeness_alone() -> None:
    assert found([a_case(0, 1), a_case(1, 1)]) == [("scan00", "scan01")]
    assert found([a_case(0, 1, 0.37), a_case(1, 2, 0.37)]) == []


def test_a_pair_that_is_far_more_alike_than_others() -> None:
    """Two scans of a person on other days correlate with 0.7, those of others hardly."""
    others = [a_case(number, number, noise=13) for number in range(2, 10)]
    assert found([a_case(0, 1, noise=13), a_case(1, 1, noise=13), *others]) == [
        ("scan00", "scan01")
    ]
    # Three are a kind of scan.
    kind = [a_case(number, 1, noise=13) for number in (0, 1, 20)]
    assert found([*kind, *others]) == []


def test_many_scans_of_one_person_are_one_group() -> None:
    cases = [a_case(number, 1) for number in range(9)]
    (group,) = possible_twins(cases, {case.name: case.patient for case in cases})
    assert len(group.names) == 9
    assert "scan00, scan01, scan02, scan03 and 5 more (alike" in twins_note([group])


def test_unread_cases_are_left_out() -> None:
    assert found([CheckedCase("a", "a"), CheckedCase("b", "b")]) == []


def test_too_many_to_compare_are_not_kept_and_a_note_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cases = [a_case(number, 1) for number in range(9)]
    names = {case.name: case.patient for case in cases}
    assert possible_twins(cases, names)
    monkeypatch.setattr("slicewise.dataset.twins.MOST_COMPARED", 8)
    monkeypatch.setattr("slicewise.dataset.cohort_qc.MOST_COMPARED", 8)
    assert not possible_twins(cases, names)
    (note,) = [text for text in compare(cases, DataSection()).notes if "too many" in text]
    assert "9 cases are too many to compare each with each, 8 at most are" in note
    drop_looks_of_many(cases[0], 8)
    assert cases[0].signature
    drop_looks_of_many(cases[0], 9)
    assert not cases[0].signature


def test_thousands_of_scans_that_look_alike_are_one_group() -> None:
    looks = a_case(0, 1).signature
    cases = [CheckedCase(f"{number:04d}", f"{number}", signature=looks) for number in range(1500)]
    cases += [CheckedCase(f"x{number}", f"x{number}", signature="") for number in range(3)]
    with linear_time():
        (group,) = possible_twins(cases, {case.name: case.patient for case in cases})
    assert len(group.names) == 1500
    assert group.reason == "alike, correlation 1.00"
