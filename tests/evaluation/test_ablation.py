"""Gains of variants by hand, on a few cases whose differences are known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from slicewise.evaluation.ablation import Variant, ablation_rows, write_ablation
from slicewise.evaluation.scores import Score, score_case
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume

STRUCTURES = structures_of({"a": 1, "b": 2}, {})


def scores(*found: tuple[str, int, int]) -> list[Score]:
    """Cases of structures of 8 voxels each, of which so many are found."""
    rows = []
    for case, in_a, in_b in found:
        reference, predicted = (np.zeros((4, 4, 4), np.uint8) for _ in range(2))
        for value, count in ((1, in_a), (2, in_b)):
            reference[2 * value - 2].flat[:8] = value
            predicted[2 * value - 2].flat[:count] = value
        volumes = (Volume(item, np.eye(4)) for item in (predicted, reference))
        # Two cases of one patient share its first letter.
        rows += score_case(case, *volumes, STRUCTURES, patient=case[0]).scores
    return rows


def dice(count: int) -> float:
    return 2 * count / (count + 8)


def test_the_gain_is_the_mean_over_structures_of_the_mean_over_cases() -> None:
    base = Variant((), scores(("p1", 4, 4), ("p2", 8, 4), ("q1", 4, 8)), 1, 20.0)
    other = Variant(("key=1",), scores(("p1", 8, 4), ("p2", 8, 8), ("q1", 2, 8)), 1, 30.0)
    first, second = ablation_rows("base", {"base": base, "other": other})
    gain_a = (dice(8) - dice(4) + 0 + dice(2) - dice(4)) / 3
    gain_b = (0 + dice(8) - dice(4) + 0) / 3
    assert second.difference.mean == pytest.approx((gain_a + gain_b) / 2)
    assert second.difference.low <= second.difference.mean <= second.difference.high
    assert second.cpu_ratio == 1.5
    # Two patients of opposite sign: each flip is as likely.
    assert second.difference.p_corrected == 1.0
    assert (first.cpu_ratio, first.variant) == (1.0, "base")
    assert math.isnan(first.difference.mean)


def test_a_gain_in_every_patient_is_significant_and_corrected_for_the_variants() -> None:
    names = [f"{letter}1" for letter in "abcdefghij"]
    base = Variant((), scores(*((name, 4, 4) for name in names)), 1, 1.0)
    better = Variant((), scores(*((name, 5 + i % 3, 5) for i, name in enumerate(names))), 1, 1.0)
    rows = ablation_rows("base", {"base": base, "one": better, "two": better})
    assert rows[1].difference.p_corrected == pytest.approx(2 * 2 / 2**10)


def test_the_table_as_csv(tmp_path: Path) -> None:
    base = Variant((), scores(("p1", 4, 4), ("q1", 4, 8)), 2, 1.0)
    write_ablation(ablation_rows("base", {"base": base}), tmp_path / "table.csv")
    (row,) = csv.DictReader((tmp_path / "table.csv").read_text().splitlines())
    assert (row["variant"], row["difference"], row["trainings"]) == ("base", "", "2")
    assert float(row["dice"]) == pytest.approx((dice(4) + (dice(4) + 1) / 2) / 2, abs=1e-5)


def test_variants_without_a_case_in_common_differ_by_nothing_known() -> None:
    base, other = (
        Variant((), scores(("p1", 4, 4)), 1, 1.0),
        Variant((), scores(("q1", 8, 8)), 1, 1.0),
    )
    row = ablation_rows("base", {"base": base, "other": other})[1]
    assert math.isnan(row.difference.mean)
    assert math.isnan(row.difference.p_corrected)
