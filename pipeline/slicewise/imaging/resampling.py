"""A volume and another grid in, the volume on that grid out, by linear interpolation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume

NO_SIGNAL = 0.0
"""Stands where a scan does not reach: what MRI measures in air, and what ``foreground: nonzero``
leaves out of mean and deviation."""


def resampled_onto(volume: Volume, grid: Volume) -> Volume:
    """Bring a scan onto the grid of another by trilinear interpolation in world coordinates.

    A voxel reaches half a spacing around its centre, so that a thick slice fills its thickness;
    up to there the outermost value is repeated, and beyond it is ``NO_SIGNAL``. Nothing is
    smoothed first: onto much coarser voxels, the interpolation picks samples.

    Args:
        volume: scan of any invertible affine, oblique or skewed; finite or not, voxels are
            weighted as they are.
        grid: whose shape and affine the result has; its voxels are not looked at.

    Returns:
        float32 voxels, and a warning that names both spacings and the share that is not covered.

    Raises:
        GeometryError: the scan covers not one voxel centre of the grid.
    """
    import SimpleITK

    # In voxel indices, where one affine map holds all: SimpleITK refuses skewed directions.
    to_volume = np.linalg.inv(volume.affine) @ grid.affine
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(to_volume[:3, :3].ravel().tolist())
    transform.SetTranslation(to_volume[:3, 3].tolist())

    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize(grid.shape)
    resampler.SetTransform(transform)
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetDefaultPixelValue(NO_SIGNAL)

    def on_grid(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        # SimpleITK stores (Z, Y, X) and speaks of (x, y, z).
        image = resampler.Execute(SimpleITK.GetImageFromArray(voxels.T))
        on: NDArray[np.float32] = SimpleITK.GetArrayFromImage(image).T
        return on

    covered = float(np.mean(on_grid(np.ones(volume.shape, dtype=np.float32)) > 0))
    if covered == 0:
        raise GeometryError(
            volume.name,
            expected=f"an overlap with the grid of {grid.name}",
            found="none",
            remedy="correct the position in its header, or leave the case out",
        )
    warnings = [f"was resampled from {_spacing(volume)} onto {_spacing(grid)}"]
    if covered < 1:
        warnings.append(f"does not cover {_percent(1 - covered)} of the grid: no signal there")
    return replace(
        grid,
        voxels=on_grid(volume.voxels.astype(np.float32)),
        name=volume.name,
        header=None,
        warnings=(*volume.warnings, *warnings),
    )


def _spacing(volume: Volume) -> str:
    return " x ".join(f"{value:.3g}" for value in volume.spacing_mm) + " mm"


def _percent(share: float) -> str:
    """A share that is neither 0 nor 1, and is never said to be."""
    percent = 100 * share
    if percent < 0.1:
        return "less than 0.1 %"
    return f"{math.floor(10 * percent) / 10:g} %"
