"""Dice, IoU and the like against values by hand, against MONAI and against scikit-learn."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics import compute_dice, compute_iou
from numpy.typing import NDArray
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from slicewise.errors import GeometryError, LabelError
from slicewise.imaging.volume import Volume
from slicewise.metrics.masks import on_one_grid
from slicewise.metrics.overlap import Overlap, overlap

AFFINE = np.array([[0, -3, 0.5, 7], [2, 0, 0.25, -4], [0.1, 0, 5, 9], [0, 0, 0, 1]])
label_maps = arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3))


def a_volume(voxels: Any, name: str = "mask") -> Volume:
    return Volume(np.asarray(voxels), AFFINE, name)


def overlaps(predicted: Volume, reference: Volume, labels: dict[str, int]) -> dict[str, Overlap]:
    """Of each structure of two label maps, whatever the order of their axes."""
    ours, theirs = on_one_grid(predicted, reference)
    return {name: overlap(ours.voxels, theirs.voxels, value) for name, value in labels.items()}


def line(*values: float) -> NDArray[Any]:
    return np.array(values).reshape(1, 1, -1)


def test_by_hand() -> None:
    found = overlap(line(1, 1, 1, 0, 2), line(0, 1, 1, 1, 1), 1)
    assert found == Overlap(predicted=3, reference=4, common=2)
    assert found.dice == pytest.approx(2 * 2 / 7)
    assert found.iou == pytest.approx(2 / 5)


def test_each_structure_is_counted_alone() -> None:
    found = overlaps(
        a_volume(line(1, 2, 2, 5)), a_volume(line(1, 1, 2, 5)), {"a": 1, "b": 2, "c": 5}
    )
    assert list(found) == ["a", "b", "c"]
    assert found["a"].dice == pytest.approx(2 / 3)
    assert found["b"].dice == pytest.approx(2 / 3)
    assert found["c"].dice == 1


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [((0, 0), (1, 0), 0), ((1, 0), (0, 0), 0), ((1, 0), (0, 1), 0), ((0, 0), (0, 0), math.nan)],
)
def test_empty_masks(
    predicted: tuple[int, ...], reference: tuple[int, ...], expected: float
) -> None:
    found = overlap(line(*predicted), line(*reference), 1)
    assert found.dice == pytest.approx(expected, nan_ok=True)
    assert found.iou == pytest.approx(expected, nan_ok=True)


@given(label_maps, label_maps)
def test_symmetric(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> None:
    for value in (1, 2, 3):
        there, back = overlap(one, other, value), overlap(other, one, value)
        assert there.dice == pytest.approx(back.dice, nan_ok=True)
        assert there.iou == pytest.approx(back.iou, nan_ok=True)


@given(label_maps)
def test_one_on_itself(label: NDArray[np.uint8]) -> None:
    for value in np.unique(label):
        assert overlap(label, label, int(value)).dice == 1
        assert overlap(label, label, int(value)).iou == 1


@given(label_maps, label_maps, st.permutations([1, 2, 3]))
def test_blind_to_a_permutation_of_labels(
    one: NDArray[np.uint8], other: NDArray[np.uint8], order: list[int]
) -> None:
    renamed = np.array([0, *order], dtype=np.uint8)
    for value in (1, 2, 3):
        assert overlap(one, other, value) == overlap(
            renamed[one], renamed[other], int(renamed[value])
        )


@given(label_maps, label_maps)
def test_dice_and_iou_agree_with_each_other(
    one: NDArray[np.uint8], other: NDArray[np.uint8]
) -> None:
    found = overlap(one, other, 1)
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou), nan_ok=True)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_monai(seed: int) -> None:
    random = np.random.default_rng(seed)
    ours, theirs = (random.integers(0, 4, (7, 5, 9)) for _ in range(2))
    theirs[:3] = 0  # not alike in size or place
    labels = {"a": 1, "b": 2, "c": 3}
    found = overlaps(a_volume(ours), a_volume(theirs), labels)
    one_hot = [
        torch.from_numpy(np.stack([v == n for n in (1, 2, 3)]))[None] for v in (ours, theirs)
    ]
    dice, iou = compute_dice(*one_hot)[0], compute_iou(*one_hot)[0]
    for number, name in enumerate(labels):
        assert found[name].dice == pytest.approx(float(dice[number]), abs=1e-6)
        assert found[name].iou == pytest.approx(float(iou[number]), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    ours, theirs = (random.random((7, 5, 9)) < share for share in (0.3, 0.6))
    found, masks = overlap(ours, theirs), (theirs.ravel(), ours.ravel())
    assert found.dice == pytest.approx(f1_score(*masks))
    assert found.iou == pytest.approx(jaccard_score(*masks))
    assert found.sensitivity == pytest.approx(recall_score(*masks))
    assert found.precision == pytest.approx(precision_score(*masks))


def test_sensitivity_needs_a_reference_and_precision_a_prediction() -> None:
    false_negative, false_positive = (
        overlap(line(0, 0), line(1, 0)),
        overlap(line(1, 0), line(0, 0)),
    )
    assert (false_negative.sensitivity, false_positive.precision) == (0, 0)
    assert math.isnan(false_negative.precision)
    assert math.isnan(false_positive.sensitivity)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SLA", "AIR"])
def test_axes_in_another_order(codes: str) -> None:
    random = np.random.default_rng(0)
    predicted, reference = (a_volume(random.integers(0, 3, (3, 4, 5))) for _ in range(2))
    expected = overlaps(predicted, reference, {"a": 1, "b": 2})
    assert overlaps(predicted.reoriented(codes), reference, {"a": 1, "b": 2}) == expected
    assert overlaps(predicted, reference.reoriented(codes), {"a": 1, "b": 2}) == expected
    assert expected["a"].dice < 0.9


def test_another_grid() -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 0.1
    reference = a_volume(line(1, 0, 1))
    with pytest.raises(GeometryError, match="voxels apart"):
        overlaps(replace(reference, affine=moved), reference, {"a": 1})
    with pytest.raises(GeometryError, match="shape"):
        overlaps(a_volume(line(1, 0)), reference, {"a": 1})


def test_labels_that_a_scaled_file_rounds() -> None:
    found = overlaps(a_volume(line(0, 0.9995, 2.0005)), a_volume(line(0, 1, 2)), {"a": 1, "b": 2})
    assert found["a"].dice == found["b"].dice == 1


@pytest.mark.parametrize("value", [0.5, 0.99, math.nan, math.inf])
@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_no_label_map_is_refused(value: float, swapped: bool) -> None:
    pair = [a_volume(line(0, value, 1), "soft"), a_volume(line(0, 1, 1))]
    with pytest.raises(LabelError, match="whole numbers") as caught:
        overlaps(*(pair[::-1] if swapped else pair), {"a": 1})
    assert caught.value.where == "soft"
