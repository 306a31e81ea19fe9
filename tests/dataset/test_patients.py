"""Names and intensity steps of cases in, who seems to share a patient out."""

from __future__ import annotations

import numpy as np
import pytest
from tests.linear_time import linear_time

from slicewise.config import DataSection
from slicewise.dataset.patient_ids import patient_of
from slicewise.dataset.patients import intensity_step, likely_patients


def patients(names: list[str]) -> list[str]:
    """Who the cases are with what was proposed."""
    likely = likely_patients(names)
    assert likely is not None
    data = DataSection(patient_pattern=likely.pattern, scans_per_patient=likely.scans_per_patient)
    found = [patient_of(name, data) for name in names]
    assert likely.patients == len(set(found))
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["patient001_fr01", "patient001_fr12", "patient002_fr01", "patient002_fr09"],
            ["001", "001", "002", "002"],
        ),
        (
            ["sub-03_ses-1", "sub-03_ses-2", "sub-04_ses-1", "sub-11_ses-1", "sub-11_ses-2"],
            ["03", "03", "04", "11", "11"],
        ),
        (["P7_T1_left", "P7_T1_right", "P8_T1_left", "P8_T2_left"], ["7", "7", "8", "8"]),
        (["01L", "01R", "02L", "02R", "03L", "03R"], ["01", "01", "02", "02", "03", "03"]),
        (
            ["A-P7_left", "A-P7_right", "B-P9_left", "B-P9_right"],
            ["A-P7", "A-P7", "B-P9", "B-P9"],
        ),
        # Dates never come twice, but the names say that these are people.
        (["P7_190304", "P7_200101", "P8_190401", "P8_190402"], ["7", "7", "8", "8"]),
    ],
)
def test_names_that_begin_like_others(names: list[str], expected: list[str]) -> None:
    assert patients(names) == expected


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a"],
        ["case0", "case1", "case2"],
        [f"hippocampus_{number:03d}" for number in range(1, 40)],
        # Hospitals and years are no people.
        [f"site{site}_{number:03d}" for site in range(4) for number in range(9)],
        [f"siteA_{number}" for number in range(4)] + ["siteB_1", "siteB_2"],
        [f"{year}_{number}" for year in (2018, 2019, 2020) for number in range(5)],
        ["left_001", "left_002", "right_001", "right_002"],
        # What follows the beginning is another each time: a number of the subject.
        ["002_S_0295", "002_S_0413", "003_S_0907", "003_S_0908", "005_S_0001"],
        # One pair alone may be chance.
        ["P1_a", "P1_b", "P2_a", "P3_a"],
        ["P1_a", "P1_b", "P1_c"],
    ],
    ids=lambda names: names[0] if names else "none",
)
def test_names_that_say_nothing(names: list[str]) -> None:
    assert likely_patients(names) is None


def paired(count: int, steps: list[float]) -> dict[str, float]:
    return {f"scan_{number + 1:02d}": steps[number] for number in range(count)}


def test_neighbours_that_share_the_step_of_their_intensities() -> None:
    steps = paired(20, [1.5 + number // 2 for number in range(20)])
    likely = likely_patients(list(steps), steps)
    assert likely is not None
    assert (likely.pattern, likely.scans_per_patient, likely.patients) == (r"^scan_(\d+)", 2, 10)
    assert "10 of 10 pairs" in likely.reason
    assert "0 of 9" in likely.reason
    assert "data.scans_per_patient=2" in likely.advice


@pytest.mark.parametrize(
    "steps",
    [
        # Whole numbers share it all, and that says nothing.
        paired(20, [1.0] * 20),
        paired(20, [1.0 + number for number in range(20)]),
        # Pairs that begin with an even number.
        paired(20, [1.5 + (number + 1) // 2 for number in range(20)]),
        # Constant images have none.
        paired(20, [0.0] * 20),
        # Too few to say.
        paired(8, [1.5 + number // 2 for number in range(8)]),
    ],
    ids=["all", "none", "even", "constant", "few"],
)
def test_steps_that_say_nothing(steps: dict[str, float]) -> None:
    assert likely_patients(list(steps), steps) is None


def test_intensity_step() -> None:
    voxels = np.array([[7.0, 2.5], [2.5, 4.0]])
    assert intensity_step(voxels) == 1.5
    assert intensity_step(np.full((3, 2), 9)) == 0
    assert intensity_step(np.array([1.0, np.nan, 3.0])) == 2


def test_twenty_thousand_names_whose_ends_differ() -> None:
    names = [f"x{number // 2}_{number}" for number in range(40_000)]
    with linear_time():
        likely = likely_patients(names)
    assert likely is None or likely.patients == 20_000


def test_patients_of_fifty_thousand_names() -> None:
    names = [f"patient{number // 2:06d}_{'ab'[number % 2]}" for number in range(50_000)]
    with linear_time():
        likely = likely_patients(names)
        assert likely is not None
        assert len({likely.patient_of(name) for name in names}) == 25_000
