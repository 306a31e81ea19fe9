"""Confidence of a model in its masks: calibration, uncertainty, and Dice without a reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from slicewise.config import Config, DicePrediction
from slicewise.imaging.volume import Volume
from slicewise.quantities import size

LEAST_PROBABILITY = 0.05
"""Voxels of lower probability do not count: there are millions of them, and together they would
outweigh a small structure."""


@dataclass(frozen=True)
class StructureConfidence:
    """How sure a model is of one structure of one scan; what is undefined is NaN.

    Attributes:
        structure: its name.
        volume_ml: of its mask; NaN where the spacing is unknown.
        volume_px: of its mask, where the spacing is unknown; otherwise NaN.
        estimated_dice: model-estimated, see ``estimated_dice``; 0 without a voxel.
        predicted_dice: by the regression of held-out cases on their estimated Dice; NaN without
            such a regression, or without a voxel.
        predicted_dice_error: standard error of that prediction in held-out cases.
        uncertainty: mean over the mask, see ``uncertainty``.
    """

    structure: str
    volume_ml: float
    volume_px: float
    estimated_dice: float
    predicted_dice: float
    predicted_dice_error: float
    uncertainty: float

    @property
    def is_empty(self) -> bool:
        """Whether no voxel was found."""
        return 0 in (self.volume_ml, self.volume_px)

    @property
    def size(self) -> str:
        """Of its mask, with the unit."""
        in_pixels = math.isnan(self.volume_ml)
        return size(self.volume_px if in_pixels else self.volume_ml, in_pixels=in_pixels)

    @property
    def likely_dice(self) -> float:
        """The best figure there is: predicted where there is a regression, otherwise estimated."""
        return self.estimated_dice if math.isnan(self.predicted_dice) else self.predicted_dice


def with_temperature(probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divide the logarithms of probabilities by a temperature; the most probable class stays.

    Args:
        probabilities: shape (K, ...), with a sum of 1 over the K classes.
        temperature: above 1 makes them less sure, below 1 surer.

    Returns:
        Of the same shape and sum; at temperature 1 the very same tensor.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    if temperature == 1:
        return probabilities
    return torch.softmax(probabilities.log() / temperature, dim=0)


def uncertainty(probabilities: Sequence[Volume]) -> Volume:
    """Entropy over the classes as a share of its largest value.

    Args:
        probabilities: background, then each structure, on one grid.

    Returns:
        float32 in [0, 1]: 0 where one class is certain, 1 where all are equally probable.
    """
    stacked = np.stack([item.voxels for item in probabilities])  # (K, X, Y, Z)
    return probabilities[0].with_voxels(_relative_entropy(stacked))


def estimated_dice(probability: NDArray[np.floating], mask: NDArray[np.bool_]) -> float:
    """The Dice that a mask would have if each voxel were right as often as its probability says.

    It is twice the sum of the probabilities inside of the mask, over the sum of all probabilities
    plus the voxels of the mask: expectations in the place of counts. Voxels below
    ``LEAST_PROBABILITY`` do not count.

    Args:
        probability: of one structure, in [0, 1], any shape.
        mask: whether a voxel belongs to the structure, of the same shape.

    Returns:
        In [0, 1]; 0 for an empty mask.
    """
    values = without_improbable(probability)
    inside = values.sum(where=mask, dtype=np.float64)
    total = values.sum(dtype=np.float64)
    return dice_of_sums(float(inside), float(total), int(np.count_nonzero(mask)))


def without_improbable(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probabilities as ``estimated_dice`` counts them: what is less than its limit is 0."""
    return np.where(probability >= LEAST_PROBABILITY, probability, 0)


def dice_of_sums(inside: float, total: float, size: int) -> float:
    """``estimated_dice`` of sums that are known.

    Args:
        inside: sum of the counted probabilities inside of the mask.
        total: sum of all counted probabilities.
        size: voxels of the mask.
    """
    return 2 * inside / (total + size) if size else 0.0


def predicted_dice(estimated: float, regression: DicePrediction) -> float:
    """The Dice that held-out cases of such an estimate have on average, in [0, 1]."""
    return min(max(regression.intercept + regression.slope * estimated, 0.0), 1.0)


def structure_confidences(
    mask: Volume, probabilities: Sequence[Volume], config: Config
) -> list[StructureConfidence]:
    """How sure a model is of each structure of a scan.

    Args:
        mask: label values of the configuration.
        probabilities: background, then each structure, calibrated, on the grid of the mask.
        config: names the structures, and the regressions of their Dice.
    """
    found = []
    for place, (name, value) in enumerate(config.data.labels.items(), start=1):
        own = mask.voxels == value
        count = int(np.count_nonzero(own))
        estimated = estimated_dice(probabilities[place].voxels, own)
        regression = config.inference.dice_prediction.get(name) if count else None
        entropy = _relative_entropy(np.stack([item.voxels[own] for item in probabilities]))
        found.append(
            StructureConfidence(
                structure=name,
                volume_ml=count * mask.voxel_volume_ml if mask.spacing_is_known else math.nan,
                volume_px=math.nan if mask.spacing_is_known else count,
                estimated_dice=estimated,
                predicted_dice=predicted_dice(estimated, regression) if regression else math.nan,
                predicted_dice_error=regression.error if regression else math.nan,
                uncertainty=float(entropy.mean(dtype=np.float64)) if count else math.nan,
            )
        )
    return found


def _relative_entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Shape (K, ...) to (...)."""
    # Where a class is impossible its logarithm is not asked for; its share of the entropy is 0.
    logarithms = np.log(
        probabilities, out=np.zeros_like(probabilities), where=probabilities > 0
    )  # (K, ...)
    entropy = -(probabilities * logarithms).sum(0) / math.log(len(probabilities))
    shares: NDArray[np.float32] = entropy.clip(0, 1).astype(np.float32)
    return shares
