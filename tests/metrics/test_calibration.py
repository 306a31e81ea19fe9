"""Reliability: by hand, against MONAI's bins, and blind where a model is honest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from monai.metrics.calibration import calibration_binning
from numpy.typing import NDArray

from slicewise.imaging.volume import Volume
from slicewise.metrics.calibration import BINS, LEAST_PROBABILITY, Reliability, reliability


def bins_of(probability: NDArray[Any], truth: NDArray[Any]) -> Reliability:
    volumes = [Volume(np.asarray(values), np.eye(4)) for values in (probability, truth)]
    return reliability(*volumes)


def line(*values: float) -> NDArray[Any]:
    return np.array(values).reshape(1, 1, -1)


def test_by_hand() -> None:
    # Two voxels in the last range, half right; one in the first, wrong; one that says nothing.
    found = bins_of(line(0.95, 1.0, 0.02, 0.001), line(1, 0, 0, 1))
    assert found.voxels == (1, *[0] * (BINS - 2), 2)
    assert found.positives == (0, *[0] * (BINS - 2), 1)
    assert found.probability[-1] == pytest.approx(1.95)
    assert found.expected_calibration_error == pytest.approx((abs(1.95 - 1) + 0.02) / 3)


def test_nothing_above_the_least_probability() -> None:
    assert math.isnan(bins_of(line(0, 0.009), line(0, 1)).expected_calibration_error)


def test_cases_add_up() -> None:
    random = np.random.default_rng(0)
    probability, truth = random.random((2, 4, 5, 6)), random.random((2, 4, 5, 6)) < 0.4
    parts = [bins_of(*case) for case in zip(probability, truth, strict=True)]
    both = bins_of(probability.reshape(8, 5, 6), truth.reshape(8, 5, 6))
    total = parts[0] + parts[1]
    assert total.voxels == both.voxels
    assert total.positives == both.positives
    assert total.expected_calibration_error == pytest.approx(both.expected_calibration_error)


def test_agrees_with_monai() -> None:
    random = np.random.default_rng(1)
    probability = random.uniform(LEAST_PROBABILITY, 1, (6, 7, 8)).astype(np.float32)
    truth = random.random(probability.shape) < probability**2
    found = bins_of(probability, truth)
    tensors = (torch.from_numpy(item)[None, None] for item in (probability, truth))
    mean, share, voxels = (item[0, 0].numpy() for item in calibration_binning(*tensors, BINS))
    np.testing.assert_array_equal(found.voxels, voxels)
    np.testing.assert_allclose(np.divide(found.probability, voxels), mean, rtol=1e-5)
    np.testing.assert_allclose(np.divide(found.positives, voxels), share, rtol=1e-5)
    expected = np.average(np.abs(mean - share), weights=voxels)
    assert found.expected_calibration_error == pytest.approx(expected, rel=1e-5)
    assert expected > 0.05


def test_an_honest_model_has_no_error_however_wide_its_background() -> None:
    random = np.random.default_rng(2)
    probability = np.concatenate([np.full(900_000, 0.004), random.uniform(0.02, 0.98, 100_000)])
    truth = random.random(probability.shape) < probability
    assert bins_of(line(*probability), line(*truth)).expected_calibration_error < 0.01
