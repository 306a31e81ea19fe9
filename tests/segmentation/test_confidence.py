"""Temperature, uncertainty and estimated Dice against figures by hand and by other libraries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy

from slicewise.config import Config, DicePrediction
from slicewise.imaging.volume import Volume
from slicewise.segmentation.confidence import (
    estimated_dice,
    predicted_dice,
    structure_confidences,
    uncertainty,
    without_improbable,
)
from slicewise.segmentation.probability_maps import ProbabilityMaps, with_temperature

MakeConfig = Callable[..., Config]
SHAPE = (3, 4, 5)


def probabilities(classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(classes)
    return torch.randn((classes, *SHAPE), generator=generator).mul(3).softmax(0)


def as_maps(stacked: torch.Tensor) -> ProbabilityMaps:
    grid = Volume(stacked[0].numpy(), np.diag([1.0, 2.0, 5.0, 1.0]))  # 0.01 ml
    return ProbabilityMaps.of(grid, stacked.numpy())


def estimate(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    values = without_improbable(probability)
    return estimated_dice(float(values[mask].sum()), float(values.sum()), int(mask.sum()))


def test_temperature_one_is_the_very_same() -> None:
    given_ones = probabilities(3)
    assert with_temperature(given_ones, 1.0) is given_ones


@pytest.mark.parametrize("temperature", [0.5, 1.7, 4.0])
def test_temperature_divides_logits(temperature: float) -> None:
    logits = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    found = with_temperature(logits.softmax(0), temperature)
    torch.testing.assert_close(found, (logits / temperature).softmax(0))
    # Of two classes: a sigmoid whose logit is divided.
    two = torch.stack([(-logits[0]).sigmoid(), logits[0].sigmoid()])
    torch.testing.assert_close(
        with_temperature(two, temperature)[1], (logits[0] / temperature).sigmoid()
    )


@given(st.floats(0.05, 20), st.integers(2, 5))
def test_the_most_probable_class_stays(temperature: float, classes: int) -> None:
    found = with_temperature(probabilities(classes), temperature)
    torch.testing.assert_close(found.sum(0), torch.ones(SHAPE))
    assert torch.equal(found.argmax(0), probabilities(classes).argmax(0))


def test_certainty_stays_certain() -> None:
    certain = torch.tensor([1.0, 0.0, 0.0])
    assert with_temperature(certain, 2.5).tolist() == [1, 0, 0]


def test_uncertainty_is_entropy_of_the_classes() -> None:
    stacked = probabilities(4)
    found = uncertainty(as_maps(stacked))
    assert found.voxels.dtype == np.float32
    np.testing.assert_allclose(found.voxels, entropy(stacked.numpy(), base=4), atol=1e-6)


def test_uncertainty_at_its_ends() -> None:
    assert (uncertainty(as_maps(torch.full((2, *SHAPE), 0.5))).voxels == 1).all()
    certain = torch.stack([torch.ones(SHAPE), torch.zeros(SHAPE)])
    assert (uncertainty(as_maps(certain)).voxels == 0).all()


def test_estimated_dice_by_hand() -> None:
    probability = np.array([1.0, 0.8, 0.6, 0.4, 0.04, 0.0])
    mask = np.array([1, 1, 1, 0, 0, 0], dtype=bool)
    assert estimate(probability, mask) == pytest.approx(2 * 2.4 / (2.8 + 3))
    assert estimate(probability, np.zeros(6, dtype=bool)) == 0
    assert estimate(mask.astype(float), mask) == 1


def test_the_estimate_of_a_calibrated_network_is_right() -> None:
    random = np.random.default_rng(0)
    probability = random.beta(0.3, 0.5, size=400_000)
    truth = random.random(probability.shape) < probability
    mask = probability > 0.5
    dice = 2 * (truth & mask).sum() / (truth.sum() + mask.sum())
    assert estimate(probability, mask) == pytest.approx(dice, abs=0.01)


def test_expected_dice_is_clipped() -> None:
    line = DicePrediction(intercept=-0.5, slope=1.5, error=0.02)
    assert predicted_dice(0.9, line) == pytest.approx(0.85)
    assert (predicted_dice(0.1, line), predicted_dice(1.5, line)) == (0, 1)


def test_confidence_of_each_structure(make_config: MakeConfig) -> None:
    line = {"intercept": 0.1, "slope": 0.5, "error": 0.03}
    config = make_config(
        data={"labels": {"disc": 2, "ring": 5, "dot": 7}},
        inference={"dice_prediction": {"disc": line, "dot": line}},
    )
    stacked = torch.zeros(4, *SHAPE)
    stacked[0] = 1
    stacked[:, 1, 2, 3] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    stacked[:, 1, 2, 2] = torch.tensor([0.2, 0.5, 0.3, 0.0])
    values = np.array([0, 2, 5, 7])[stacked.argmax(0).numpy()].astype(np.uint8)
    stacked[:, 0, 0, 0] = torch.tensor([0.4, 0.0, 0.6, 0.0])
    values[0, 0, 0] = 5
    maps = as_maps(stacked)
    disc, ring, dot = structure_confidences(maps.grid.with_voxels(values), maps, config)
    assert [item.structure for item in (disc, ring, dot)] == ["disc", "ring", "dot"]
    estimated = 2 * 1.5 / (1.5 + 2)
    assert (disc.volume_ml, disc.estimated_dice) == pytest.approx((0.02, estimated))
    assert (disc.predicted_dice, disc.predicted_dice_error) == pytest.approx(
        (0.1 + estimated / 2, 0.03)
    )
    assert disc.uncertainty == pytest.approx(entropy([0.2, 0.5, 0.3], base=4) / 2, abs=1e-6)
    # Nothing was learned about the ring, and of the dot there is no voxel.
    assert math.isnan(ring.predicted_dice)
    assert ring.likely_dice == ring.estimated_dice == pytest.approx(2 * 0.6 / (0.9 + 1))
    assert (dot.volume_ml, dot.estimated_dice) == (0, 0)
    assert all(map(math.isnan, (dot.predicted_dice, dot.predicted_dice_error, dot.uncertainty)))
