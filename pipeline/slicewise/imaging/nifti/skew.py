"""Repairs affines whose axes are slightly skewed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]

ROUNDING_RADIANS = 1e-4
"""A smaller skew is ignored: it is in the order of rounding in DICOM headers, and ITK accepts it.
ITK, and therefore 3D Slicer and ITK-SNAP, refuses files with a larger one."""
MAXIMUM_REPAIR_MM = 0.1


def straightened(affine: Affine, shape: tuple[int, int, int]) -> tuple[Affine, tuple[str, ...]]:
    """Repair axes that are slightly skewed.

    Args:
        affine: (4, 4), voxel indices to RAS+ millimetres, invertible.
        shape: voxels along each axis.

    Returns:
        The affine with perpendicular axes if no voxel corner moves by more than 0.1 mm, otherwise
        the original one; and warnings.
    """
    skew_radians = _skew_radians(affine)
    if skew_radians <= ROUNDING_RADIANS:
        return affine, ()
    skew = f"axes are skewed by {np.degrees(skew_radians):.2g} degrees"
    repaired = nearest_perpendicular(affine, shape)
    moved_mm = corners_apart_mm(affine, repaired, shape)
    if moved_mm > MAXIMUM_REPAIR_MM:
        return affine, (f"{skew}; left unchanged",)
    return repaired, (f"{skew}; straightened, which moves no voxel by more than {moved_mm:.2g} mm",)


def nearest_perpendicular(affine: Affine, shape: tuple[int, int, int]) -> Affine:
    """Nearest affine with perpendicular axes; spacing and centre of the grid are kept.

    Source:
        Orthogonal factor of the polar decomposition: Higham, SIAM J Sci Stat Comput 1986;7(4).
    """
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing_mm)
    repaired = affine.copy()
    repaired[:3, :3] = left @ right * spacing_mm
    centre = (np.array(shape) - 1) / 2
    repaired[:3, 3] += (affine[:3, :3] - repaired[:3, :3]) @ centre
    return repaired


def corners_apart_mm(one: Affine, other: Affine, shape: tuple[int, int, int]) -> float:
    """Maximum distance between the corners of the grid under two affines."""
    edges = [(-0.5, size - 0.5) for size in shape]
    corners = np.array(np.meshgrid(*edges)).reshape(3, -1)  # (3, 8)
    apart = (one - other)[:3, :3] @ corners + (one - other)[:3, 3:]
    return float(np.linalg.norm(apart, axis=0).max())


def _skew_radians(affine: Affine) -> float:
    """Largest deviation of two axes from a right angle."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    cosines = (axes.T @ axes)[np.triu_indices(3, k=1)]
    return float(np.abs(np.arcsin(np.clip(cosines, -1, 1))).max())
