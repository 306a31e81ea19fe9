"""Confidence of a model in its masks: calibration, uncertainty, and Dice without a reference."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config, DicePrediction
from slicewise.imaging.volume import Volume
from slicewise.quantities import size
from slicewise.segmentation.probability_maps import ProbabilityMaps

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


def uncertainty(probabilities: ProbabilityMaps) -> Volume:
    """Entropy over the classes as a share of its largest value.

    Returns:
        float32 in [0, 1]: 0 where one class is certain, 1 where all are equally probable.
    """
    entropy = np.empty(probabilities.grid.shape, np.float32)
    for rows, values in probabilities.slabs():
        entropy[rows] = _relative_entropy(values)
    return probabilities.grid.with_voxels(entropy)


def without_improbable(probability: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probabilities as ``estimated_dice`` counts them: below ``LEAST_PROBABILITY`` they are 0."""
    return np.where(probability >= LEAST_PROBABILITY, probability, 0)


def estimated_dice(inside: float, total: float, size: int) -> float:
    """The Dice that a mask would have if each voxel were right as often as its probability says.

    It is twice the sum of the probabilities inside of the mask, over the sum of all probabilities
    plus the voxels of the mask: expectations in the place of counts.

    Args:
        inside: sum of the probabilities inside of the mask, see ``without_improbable``.
        total: sum of all probabilities.
        size: voxels of the mask.

    Returns:
        In [0, 1]; 0 for an empty mask.
    """
    return 2 * inside / (total + size) if size else 0.0


def predicted_dice(estimated: float, regression: DicePrediction) -> float:
    """The Dice that held-out cases of such an estimate have on average, in [0, 1]."""
    return min(max(regression.intercept + regression.slope * estimated, 0.0), 1.0)


def structure_confidences(
    mask: Volume, probabilities: ProbabilityMaps, config: Config
) -> list[StructureConfidence]:
    """How sure a model is of each structure of a scan.

    Args:
        mask: label values of the configuration.
        probabilities: calibrated, on the grid of the mask.
        config: names the structures, and the regressions of their Dice.
    """
    sums = {name: _Sums() for name in config.data.labels}
    for rows, values in probabilities.slabs():
        for place, (name, value) in enumerate(config.data.labels.items(), start=1):
            sums[name].add(values, place, mask.voxels[rows] == value)
    found = []
    for name, own in sums.items():
        count = own.voxels
        estimated = estimated_dice(own.inside, own.total, count)
        regression = config.inference.dice_prediction.get(name) if count else None
        found.append(
            StructureConfidence(
                structure=name,
                volume_ml=count * mask.voxel_volume_ml if mask.spacing_is_known else math.nan,
                volume_px=math.nan if mask.spacing_is_known else count,
                estimated_dice=estimated,
                predicted_dice=predicted_dice(estimated, regression) if regression else math.nan,
                predicted_dice_error=regression.error if regression else math.nan,
                uncertainty=own.entropy / count if count else math.nan,
            )
        )
    return found


@dataclass
class _Sums:
    """What the confidence of a structure is computed from, summed over slabs of a scan.

    Attributes:
        inside: sum of the counted probabilities in its mask.
        total: sum of all counted probabilities.
        entropy: sum over its mask.
        voxels: of its mask.
    """

    inside: float = 0.0
    total: float = 0.0
    entropy: float = 0.0
    voxels: int = 0

    def add(self, probabilities: NDArray[np.floating], place: int, mask: NDArray[np.bool_]) -> None:
        """Add a slab.

        Args:
            probabilities: of all classes, (K, x, Y, Z).
            place: of the structure among them.
            mask: of the structure, (x, Y, Z).
        """
        values = without_improbable(probabilities[place])
        self.inside += float(values.sum(where=mask, dtype=np.float64))
        self.total += float(values.sum(dtype=np.float64))
        self.entropy += float(_relative_entropy(probabilities[:, mask]).sum(dtype=np.float64))
        self.voxels += int(np.count_nonzero(mask))


def _relative_entropy(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Shape (K, ...) to (...)."""
    # Where a class is impossible its logarithm is not asked for; its share of the entropy is 0.
    logarithms = np.log(
        probabilities, out=np.zeros_like(probabilities), where=probabilities > 0
    )  # (K, ...)
    entropy = -(probabilities * logarithms).sum(0) / math.log(len(probabilities))
    shares: NDArray[np.float32] = entropy.clip(0, 1).astype(np.float32)
    return shares
