"""Distances between the surfaces of two masks, and surface Dice.

The surface of a mask consists of its voxels that share a face with a voxel outside of it; beyond
the border of the scan is outside. In a scan of one slice, the third axis is ignored. Distances are
between voxel centres in world coordinates, so that any spacing and orientation is correct.

If one mask is empty, distances are undefined (NaN) and surface Dice is 0; if both are, all are
undefined.
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
"""Allowance for rounding errors in headers when distances are compared with a tolerance."""


@dataclass(frozen=True)
class SurfaceAgreement:
    """Distances between two surfaces.

    Attributes:
        hd95_mm: maximum of the 95th percentiles of the distances in both directions; NaN if a mask
            is empty.
        distance_mm: mean of the distances in both directions; NaN if a mask is empty.
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
