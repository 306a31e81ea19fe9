"""Resampling of a volume onto another grid by linear interpolation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError
from slicewise.imaging.volume import Volume

NO_SIGNAL = 0.0
"""Value outside of a scan: as of air in MRI, and excluded by ``foreground: nonzero``."""


def resampled_onto(volume: Volume, grid: Volume) -> Volume:
    """Resample a scan onto the grid of another by trilinear interpolation in world coordinates.

    A voxel extends half a spacing around its centre, so that a thick slice fills its thickness:
    within it the outermost value is repeated, beyond it is ``NO_SIGNAL``. There is no smoothing
    against aliasing when the grid is coarser.

    Args:
        volume: scan with any invertible affine, also oblique or skewed; non-finite voxels are
            interpolated like others.
        grid: volume whose shape and affine the result has; its voxels are ignored.

    Returns:
        float32 voxels, with warnings of both spacings and of the fraction that is not covered.

    Raises:
        GeometryError: the scan does not overlap with the grid.
    """
    import SimpleITK

    # Resampled in voxel indices, because SimpleITK refuses skewed directions.
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
        # Arrays of SimpleITK are (Z, Y, X).
        image = resampler.Execute(SimpleITK.GetImageFromArray(voxels.T))
        on: NDArray[np.float32] = SimpleITK.GetArrayFromImage(image).T
        return on

    covered = float(np.mean(on_grid(np.ones(volume.shape, dtype=np.float32)) > 0))
    if covered == 0:
        raise GeometryError(
            volume.name,
            expected=f"an overlap with the grid of {grid.name}",
            found="no overlap",
            remedy="correct the position in its header, or exclude the case",
        )
    warnings = [f"was resampled from {_spacing(volume)} onto {_spacing(grid)}"]
    if covered < 1:
        warnings.append(
            f"does not cover {_percent(1 - covered)} of the grid, which is filled with 0"
        )
    return replace(
        grid,
        voxels=on_grid(volume.voxels.astype(np.float32)),
        name=volume.name,
        header=None,
        warnings=(*volume.warnings, *warnings),
    )


def _spacing(volume: Volume) -> str:
    return " x ".join(f"{value:.3g}" for value in volume.spacing_mm) + " mm"


def _percent(fraction: float) -> str:
    """A fraction between 0 and 1, never rounded to 0 % or 100 %."""
    percent = 100 * fraction
    if percent < 0.1:
        return "less than 0.1 %"
    return f"{math.floor(10 * percent) / 10:g} %"
