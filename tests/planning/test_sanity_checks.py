"""Figures of data sets with known faults in, the sentences about them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slicewise.dataset.case_qc import Intensities
from slicewise.planning.fingerprint import CaseFingerprint, ContrastFacts, Fingerprint
from slicewise.planning.sanity_checks import sanity_checks

Make = Callable[..., CaseFingerprint]
Join = Callable[..., Fingerprint]
LABELS = {"big": 1, "small": 2}


def many(case: Make, **changes: Any) -> list[CaseFingerprint]:
    return [case(f"c{number}", **changes) for number in range(12)]


def contrast(low: float, high: float, values: int = 200) -> dict[str, ContrastFacts]:
    return {"T1": ContrastFacts(Intensities(low, low, low, high, high), 0.0, 0.3, values)}


def test_a_sound_set_raises_none(case: Make, data_set: Join) -> None:
    assert sanity_checks(data_set(*many(case)), LABELS) == []


def test_a_structure_of_one_patient(case: Make, data_set: Join) -> None:
    without = {1: case("a").structures[1]}
    fingerprint = data_set(*many(case, structures=without), case("rare"))
    (text,) = sanity_checks(fingerprint, LABELS)
    assert text == (
        "only one patient has small (value 2): it is either trained on or scored, never both (rare)"
    )


def test_a_mixture_of_anatomies(case: Make, data_set: Join) -> None:
    big, small = case("a").structures.values()
    heads = [case(f"h{number}", structures={1: big}) for number in range(3)]
    spines = [case(f"s{number}", structures={2: small}) for number in range(2)]
    texts = sanity_checks(data_set(*heads, *spines), LABELS)
    assert any(
        "like several anatomies: 3 cases with big; 2 cases with small." in text for text in texts
    )
    both = case("both")
    texts = sanity_checks(data_set(*heads, *spines, both), LABELS)
    assert not any("anatomies" in text for text in texts)


def test_empty_labels_are_named(case: Make, data_set: Join) -> None:
    fingerprint = data_set(*many(case), case("blank", structures={}, extent_mm=(0, 0, 0)))
    (text,) = sanity_checks(fingerprint, LABELS)
    assert "empty" in text
    assert "blank" in text


def test_structures_that_are_described_and_never_occur(case: Make, data_set: Join) -> None:
    (text,) = sanity_checks(data_set(*many(case)), {**LABELS, "ghost": 9})
    assert text == "left out, since no case has them: ghost (from dataset.json)"
    none = data_set(*many(case), labels={"label_1": 1, "label_2": 2})
    (text,) = sanity_checks(none, {"left": 10, "right": 20})
    assert text == "none of the label values in dataset.json occurs: left, right"


def test_a_giant_is_named(case: Make, data_set: Join) -> None:
    # 2 x 2 x 3 times as many voxels.
    (text,) = sanity_checks(data_set(*many(case), case("giant", shape=(80, 120, 150))), LABELS)
    assert "giant has 80 x 120 x 150 voxels, 12 times the median" in text


@pytest.mark.parametrize(
    ("contrasts", "said"),
    [
        (contrast(7, 7, values=1), "constant images"),
        (contrast(0, 200, values=4), "like label maps"),
        (contrast(-1000, 200), "like CT"),
    ],
)
def test_suspicious_images_are_named(
    case: Make, data_set: Join, contrasts: dict[str, ContrastFacts], said: str
) -> None:
    (text,) = sanity_checks(data_set(*many(case), case("odd", contrasts=contrasts)), LABELS)
    assert said in text
    assert text.endswith("odd")


def test_a_set_of_another_modality(case: Make, data_set: Join) -> None:
    (text,) = sanity_checks(data_set(*many(case, contrasts=contrast(-1000, 900))), LABELS)
    assert "made for MRI" in text


def test_wide_scales_do_no_harm(case: Make, data_set: Join) -> None:
    fingerprint = data_set(*many(case), case("bright", contrasts=contrast(0, 2e6)))
    (text,) = sanity_checks(fingerprint, LABELS)
    assert "from 195 to 2e+06" in text
    assert "harmless" in text


def test_slices_of_different_planes(case: Make, data_set: Join) -> None:
    axial = many(case, spacing_mm=(1, 1, 6))
    sagittal = [case(f"s{number}", spacing_mm=(6, 1, 1)) for number in range(12)]
    (text,) = sanity_checks(data_set(*axial, *sagittal), LABELS)
    assert "differs between scans" in text


def test_few_patients(case: Make, data_set: Join) -> None:
    (text,) = sanity_checks(data_set(case("a"), case("b"), case("c")), LABELS)
    assert text.startswith("only 3 patients")
