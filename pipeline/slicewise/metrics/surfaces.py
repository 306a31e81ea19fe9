"""Distances between the surfaces of two masks, and surface Dice.

The surface of a mask are its voxels that touch a voxel outside of it with a face; at the border of
the scan, outside is beyond it. A scan of one slice is a picture: its third axis has no outside.
Distances are those of voxel centres in the world, so any spacing and obliqueness counts as it is.

Where one mask is empty there is no distance, and surface Dice is 0; where both are, nothing is
defined. Nothing here is infinite, and nothing takes the place of a distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, generate_binary_structure
from scipy.spatial import KDTree

from slicewise.imaging.volume import Volume
from slicewise.metrics.masks import MaskPair

ROUNDING_MM = 1e-3
"""A distance of one voxel of 1 mm is within a tolerance of 1 mm, whatever a header rounds."""


@dataclass(frozen=True)
class SurfaceAgreement:
    """Distances between two surfaces.

    Attributes:
        hd95_mm: of the 95th percentiles of the distances from either surface to the other, the
            larger one; NaN unless both masks hold something.
        distance_mm: mean over all distances from either surface to the other; NaN likewise.
        dice: share of the voxels of both surfaces that lie within a tolerance of the other; 0 when
            one mask is empty, NaN when both are.

    Source:
        Nikolov et al., J Med Internet Res 2021;23(7):e26151, for surface Dice; Maier-Hein et al.,
        Nat Methods 2024;21:195-212, for the choice among definitions.
    """

    hd95_mm: float
    distance_mm: float
    dice: float


def surface_agreement(pair: MaskPair, tolerance_mm: float) -> SurfaceAgreement:
    """Compare the surfaces of two masks.

    Args:
        pair: masks of one grid.
        tolerance_mm: largest distance that still counts as agreement.
    """
    ours, theirs = _surface_mm(pair.predicted), _surface_mm(pair.reference)
    if not len(ours) or not len(theirs):
        return SurfaceAgreement(math.nan, math.nan, 0.0 if len(ours) + len(theirs) else math.nan)
    there, back = KDTree(theirs).query(ours)[0], KDTree(ours).query(theirs)[0]
    both = np.concatenate((there, back))
    return SurfaceAgreement(
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        distance_mm=float(both.mean()),
        dice=float(np.mean(both <= tolerance_mm + ROUNDING_MM)),
    )


def _surface_mm(mask: Volume) -> NDArray[np.float64]:
    """World positions of the voxels of a surface, shape (N, 3)."""
    neighbours = generate_binary_structure(rank=3, connectivity=1)
    for axis, size in enumerate(mask.shape):
        if size == 1:
            neighbours = neighbours.take([1], axis=axis)
    surface = mask.voxels & ~binary_erosion(mask.voxels, neighbours)
    return mask.world_position_mm(np.argwhere(surface))
