"""Stored values of a label map in, whole numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import LabelError
from slicewise.imaging.volume import Volume

INTEGER_TOLERANCE = 1e-3
"""Labels that were saved as floating point may miss their whole number by so much."""


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    """The labels that the values of a label map mean, in the same shape.

    Raises:
        LabelError: fractions, or values that are no numbers.
    """
    if values.dtype.kind != "f":
        return values
    integers: NDArray[Any] = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - integers).max() > INTEGER_TOLERANCE:
        raise LabelError(
            where,
            expected="whole numbers as labels",
            found="fractions, or values that are no numbers",
            remedy="export a label map without interpolation or smoothing, not probabilities",
        )
    return integers


def structure_volumes_ml(label_map: Volume) -> dict[int, float]:
    """Label value to the millilitres that it fills, without the background."""
    values, counts = np.unique(label_map.voxels[label_map.voxels != 0], return_counts=True)
    return {
        int(value): round(int(count) * label_map.voxel_volume_ml, 4)
        for value, count in zip(values, counts, strict=True)
    }
