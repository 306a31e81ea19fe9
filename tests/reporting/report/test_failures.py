"""What a person should look at is found, with its reason, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slicewise.evaluation.scores import Score
from slicewise.reporting.report.failures import KINDS, find_failures, robust_z, volume_outliers

MakeScore = Callable[..., Score]
USUAL = (0.88, 0.89, 0.9, 0.9, 0.91, 0.92)


def good_cases(a_score: MakeScore) -> list[Score]:
    return [a_score(f"good{n}", dice=dice) for n, dice in enumerate(USUAL)]


def kinds(rows: list[Score]) -> list[tuple[str, str]]:
    return [(failure.case, failure.kind) for failure in find_failures(rows)]


def test_a_sound_run_has_none(a_score: MakeScore) -> None:
    assert find_failures(good_cases(a_score)) == []
    assert find_failures([]) == []


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ({"state": "false positive", "dice": 0.0, "precision": 0.0, "predicted_ml": 0.5,
          "reference_ml": 0.0}, "false positive", "0.5 ml where there is none"),
        ({"precision": 0.2, "dice": 0.895}, "leaked",
         "3.28 of 4.1 ml lie outside the reference"),
        ({"dice": 0.4}, "low Dice", "Dice 0.400"),
        ({"dice": 0.6}, "low Dice", "Dice 0.600, median 0.900 (robust z -20.2)"),
        ({"hd95_mm": 9.0}, "far off", "HD95 9.0 mm, median 2.0 mm (robust z +14.0)"),
        ({"predicted_ml": 8.0}, "odd volume", "volume +100%, median +2% (robust z +48.8)"),
        ({"predicted_ml": 2.0}, "odd volume", "volume -50%, median +2% (robust z -26.2)"),
        ({"confidence": 0.7}, "low confidence", "confidence 0.700, median 0.970 (robust z -54.0)"),
    ],
)  # fmt: skip
def test_each_kind(a_score: MakeScore, values: dict[str, float], kind: str, reason: str) -> None:
    found = find_failures([*good_cases(a_score), a_score("bad", **values)])
    assert [(failure.case, failure.kind) for failure in found] == [("bad", kind)]
    assert found[0].reason == reason


def test_scans_unlike_the_training(a_score: MakeScore) -> None:
    reasons = {"good2": "echo time 98 ms; training had 2.1 to 3.5 ms"}
    (found,) = find_failures(good_cases(a_score), reasons)
    assert (found.case, found.structure, found.kind) == ("good2", "", "unlike scan")
    assert found.reason == reasons["good2"]
    assert [item.kind for item in volume_outliers({}, reasons)] == ["unlike scan"]


def test_false_negative_beside_another_structure(a_score: MakeScore) -> None:
    rows = [
        a_score("bad", "core", state="false negative", dice=0.0, predicted_ml=0.0),
        a_score("bad", "rim"),
    ]
    assert kinds(rows) == [("bad", "false negative")]


def test_a_case_without_any_prediction_is_told_once(a_score: MakeScore) -> None:
    rows = [
        a_score("bad", name, state="false negative", dice=0.0, predicted_ml=0.0)
        for name in ("core", "rim")
    ]
    (found,) = find_failures(rows)
    assert (found.kind, found.structure, found.reason) == (
        "empty",
        "",
        "nothing predicted, 8 ml expected",
    )


def test_both_empty_is_no_failure(a_score: MakeScore, undefined: dict[str, float]) -> None:
    rows = [*good_cases(a_score), a_score("none", state="both empty", **undefined)]
    assert find_failures(rows) == []


def test_undefined_figures_are_no_outliers(a_score: MakeScore, undefined: dict[str, float]) -> None:
    undefined |= {"predicted_ml": 4.1, "reference_ml": 4.0}
    assert find_failures([a_score(f"c{n}", **undefined) for n in range(8)]) == []


def test_the_worst_kind_comes_first_and_within_it_the_lowest_dice(a_score: MakeScore) -> None:
    rows = [
        *good_cases(a_score),
        a_score("low", dice=0.45),
        a_score("lower", dice=0.3),
        a_score("gone", "core", state="false negative", dice=0.0, predicted_ml=0.0),
        a_score("gone", "rim"),
    ]
    assert kinds(rows) == [("gone", "false negative"), ("lower", "low Dice"), ("low", "low Dice")]
    assert list(KINDS)[:3] == ["empty", "false negative", "false positive"]


def test_few_cases_have_no_rest_to_be_unlike() -> None:
    assert robust_z({"a": 0.0, "b": 1.0, "c": 100.0}, 0.1) == {}


def test_robust_z_by_hand() -> None:
    # Median 3, absolute deviations 2 1 0 1 6: their median is 1.
    found = robust_z({"a": 1, "b": 2, "c": 3, "d": 4, "e": 9}, 0.01)
    assert found["e"] == pytest.approx(6 / 1.4826)
    # Equals: the least deviation counts.
    same = robust_z(dict.fromkeys("abcd", 1.0) | {"e": 1.2}, 0.1)
    assert same["e"] == pytest.approx(2.0)


def test_volumes_without_a_reference() -> None:
    volumes = {"core": {f"c{n}": 10.0 + n / 10 for n in range(6)} | {"big": 30.0, "none": 0.0}}
    found = {failure.case: failure for failure in volume_outliers(volumes)}
    assert set(found) == {"big", "none"}
    assert found["big"].reason.startswith("30 ml, median 10.3 ml (robust z +")
    assert found["none"].reason == "nothing predicted"
