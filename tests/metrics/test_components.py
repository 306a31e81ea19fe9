"""Connected components are counted by hand, and against another library."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from SimpleITK import ConnectedComponent, GetArrayFromImage, GetImageFromArray

from slicewise.imaging.volume import Volume
from slicewise.metrics.components import ComponentCounts, component_counts
from slicewise.metrics.masks import mask_pair


def count(predicted: NDArray[Any], reference: NDArray[Any]) -> ComponentCounts:
    volumes = [Volume(np.asarray(v, dtype=np.uint8), np.eye(4)) for v in (predicted, reference)]
    return component_counts(mask_pair(*volumes, 1))


def line(*values: int) -> NDArray[Any]:
    return np.array(values).reshape(1, 1, -1)


def test_by_hand() -> None:
    #              found      missed     found twice
    reference = line(1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 0)
    predicted = line(0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1)
    found = count(predicted, reference)
    assert found == ComponentCounts(reference=3, found=2, predicted=4, false_positive=1)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.precision == pytest.approx(3 / 4)
    assert found.f1 == pytest.approx(2 * (2 / 3) * (3 / 4) / (2 / 3 + 3 / 4))


def test_one_prediction_over_two_lesions_finds_both() -> None:
    found = count(line(1, 1, 1, 1, 1), line(1, 0, 0, 0, 1))
    assert found == ComponentCounts(reference=2, found=2, predicted=1, false_positive=0)
    assert found.f1 == 1


def test_a_shared_corner_makes_one_piece() -> None:
    mask = np.zeros((2, 2, 2))
    mask[0, 0, 0] = mask[1, 1, 1] = 1
    assert count(mask, mask).reference == 1


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (ComponentCounts(0, 0, 0, 0), (math.nan, math.nan, math.nan)),
        (ComponentCounts(2, 0, 0, 0), (0, math.nan, 0)),
        (ComponentCounts(0, 0, 3, 3), (math.nan, 0, 0)),
        (ComponentCounts(2, 0, 3, 3), (0, 0, 0)),
    ],
)
def test_nothing_there(counts: ComponentCounts, expected: tuple[float, ...]) -> None:
    assert (counts.sensitivity, counts.precision, counts.f1) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_simpleitk(seed: int) -> None:
    random = np.random.default_rng(seed)
    predicted, reference = (random.random((9, 11, 13)) < share for share in (0.04, 0.06))

    def components(mask: NDArray[Any]) -> NDArray[Any]:
        image = GetImageFromArray(mask.astype(np.uint8))
        return GetArrayFromImage(ConnectedComponent(image, True))

    ours, theirs = components(predicted), components(reference)
    found = sum(bool(predicted[theirs == n].any()) for n in range(1, theirs.max() + 1))
    false_positive = sum(not reference[ours == n].any() for n in range(1, ours.max() + 1))
    expected = ComponentCounts(int(theirs.max()), found, int(ours.max()), false_positive)
    assert count(predicted, reference) == expected
    assert 0 < found < expected.reference
    assert 0 < false_positive < expected.predicted
