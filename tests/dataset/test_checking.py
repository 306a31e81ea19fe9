"""The check: what a data set holds, and what is wrong with it, case by case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config import DataSection
from pipeline.dataset.checking import CheckedCase, check_cases, mark_duplicates, unused_labels
from pipeline.dataset.layouts import read_catalogue

Pair = Callable[..., Path]
Write = Callable[..., Path]
LABELS = {"first": 2, "second": 5}


def check(root: Path, labels: dict[str, int] = LABELS) -> dict[str, CheckedCase]:
    data = DataSection(root=root, labels=labels)
    return {case.name: case for case in check_cases(read_catalogue(data), data)}


def test_a_good_case_is_described(pair: Pair, scan: Any) -> None:
    case = check(pair("a"))["a"]
    assert case.problems == []
    assert case.warnings == []
    assert case.shape == (10, 13, 6)
    np.testing.assert_allclose(case.spacing_mm, (0.9, 1.3, 3.5), rtol=1e-5)
    assert case.orientation == "RAS"
    assert case.intensities == (0, scan.voxels.max())
    # 18 voxels each of 0.9 x 1.3 x 3.5 mm, in millilitres.
    assert case.structures == {
        2: pytest.approx(18 * 4.095e-3, abs=1e-4),
        5: pytest.approx(18 * 4.095e-3, abs=1e-4),
    }


def test_the_same_voxels_under_two_names(pair: Pair) -> None:
    root = pair("a", "b", "c")
    (root / "images" / "c.nii.gz").write_bytes((root / "images" / "a.nii.gz").read_bytes())
    cases = check(root)
    mark_duplicates(list(cases.values()))
    assert cases["a"].problems == ["the same voxels as c"]
    assert cases["b"].problems == []
    assert cases["c"].problems == ["the same voxels as a"]


def test_cases_that_could_not_be_read_are_no_duplicates() -> None:
    cases = [CheckedCase("a", "a"), CheckedCase("b", "b")]
    mark_duplicates(cases)
    assert [case.problems for case in cases] == [[], []]


def test_an_empty_label_is_a_warning(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    write(root / "labels" / "a.nii.gz", np.zeros_like(scan.label), scan.affine)
    case = check(root)["a"]
    assert case.problems == []
    assert case.warnings == ["the label is empty"]


def test_a_label_on_another_grid_is_a_problem(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a", "b")
    shifted = scan.affine.copy()
    shifted[2, 3] += 1
    write(root / "labels" / "a.nii.gz", scan.label, shifted)
    cases = check(root)
    assert len(cases["a"].problems) == 1
    assert "corners 1.11 voxels apart" in cases["a"].problems[0]
    assert cases["b"].problems == []


def test_a_label_stored_in_another_order_is_fine(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    stored = scan.stored((2, 0, 1), (0, 2))
    write(root / "labels" / "a.nii.gz", stored.label, stored.affine)
    assert check(root)["a"].problems == []


def test_values_that_the_config_does_not_name(pair: Pair) -> None:
    root = pair("a")
    assert check(root, {"first": 2})["a"].problems == ["label values [5] are not in data.labels"]
    # Without names, the check tells what there is.
    case = check(root, {})["a"]
    assert case.problems == []
    assert set(case.structures) == {2, 5}


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_labels_that_are_no_whole_numbers(
    pair: Pair, write: Write, scan: Any, value: float
) -> None:
    root = pair("a")
    label = scan.label.astype(np.float32)
    label[0, 0, 0] = value
    write(root / "labels" / "a.nii.gz", label, scan.affine)
    (problem,) = check(root)["a"].problems
    assert "fractions" in problem


def test_voxels_that_are_no_numbers(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    voxels = scan.voxels.astype(np.float32)
    voxels[0, 0, :2] = np.nan
    write(root / "images" / "a.nii.gz", voxels, scan.affine)
    case = check(root)["a"]
    assert case.problems == ["2 NaN or infinite voxels"]
    assert case.intensities is None


def test_a_flat_volume_is_a_warning(pair: Pair, write: Write, scan: Any) -> None:
    root = pair("a")
    write(root / "images" / "a.nii.gz", np.full_like(scan.voxels, 7), scan.affine)
    assert check(root)["a"].warnings == ["every voxel is 7"]


def test_a_damaged_file_is_a_problem_of_its_case(pair: Pair) -> None:
    root = pair("a", "b")
    path = root / "images" / "a.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])
    cases = check(root)
    assert len(cases["a"].problems) == 1
    assert cases["b"].problems == []


def test_structures_that_no_case_has(pair: Pair) -> None:
    data = DataSection(labels={"first": 2, "second": 5, "third": 9})
    assert unused_labels(check(pair("a")).values(), data) == [9]
