"""Validation of label maps, and volumes of their structures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import LabelError
from slicewise.imaging.volume import Volume

WHOLE_NUMBERS = "whole numbers as labels"
"""What is expected of a label map; a scan often has none."""
INTEGER_TOLERANCE = 1e-3
"""Allowed deviation of labels that are stored as floating point from whole numbers."""


def whole_numbers(values: NDArray[Any], where: str) -> NDArray[Any]:
    """The labels of a label map as whole numbers, in the same shape.

    Raises:
        LabelError: fractions, NaN or infinite values.
    """
    if values.dtype.kind != "f":
        return values
    integers: NDArray[Any] = np.rint(values)
    if not np.isfinite(values).all() or np.abs(values - integers).max() > INTEGER_TOLERANCE:
        raise LabelError(
            where,
            expected=WHOLE_NUMBERS,
            found="fractions, NaN or infinite values",
            remedy="export a label map without interpolation or smoothing, not probabilities",
        )
    return integers


def structure_sizes(label_map: Volume) -> dict[int, float]:
    """Size of each label value, without the background.

    Volumes in millilitres, or numbers of pixels if the spacing is unknown.
    """
    values, counts = np.unique(label_map.voxels[label_map.voxels != 0], return_counts=True)
    return {
        int(value): round(int(count) * label_map.voxel_size, 4)
        for value, count in zip(values, counts, strict=True)
    }
