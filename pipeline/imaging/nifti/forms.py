"""The two forms of a NIfTI header in, one affine out: they agree, or the file is refused."""

from __future__ import annotations

import math
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import GeometryError
from pipeline.imaging.volume import Volume

MAXIMUM_FORM_DISAGREEMENT_MM = 0.1

Header = nib.nifti1.Nifti1Header


def affine_of(
    path: Path, header: Header, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The affine that places the voxels: the sform where there is one, otherwise the qform.

    Args:
        path: for messages.
        header: of the file.
        shape: voxels along each axis.

    Returns:
        (4, 4), voxel indices to RAS+ millimetres, and what should be known about it.

    Raises:
        GeometryError: a form is not finite or not invertible, or the two disagree.
    """
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code < 0 or qform_code < 0:
        raise _unusable(path, "form codes", f"sform_code {sform_code}, qform_code {qform_code}")
    if sform_code == 0 and qform_code == 0:
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        _require_usable(path, "pixdim", affine)
        return affine, ("no orientation in the header (sform and qform codes are 0)",)
    forms = {}
    if sform_code > 0:
        forms["sform"] = np.asarray(header.get_sform(), dtype=np.float64)
    if qform_code > 0:
        try:
            forms["qform"] = np.asarray(header.get_qform(), dtype=np.float64)
        except (ValueError, nib.spatialimages.HeaderDataError) as error:
            raise _unusable(path, "qform", str(error)) from None
    for name, form in forms.items():
        _require_usable(path, name, form)
    if len(forms) == 2:
        _require_agreement(path, header, forms["sform"], forms["qform"], shape)
    return next(iter(forms.values())), ()


def _unusable(path: Path, form: str, found: str) -> GeometryError:
    return GeometryError(
        f"{path}: {form}",
        expected="a finite, invertible affine",
        found=found,
        remedy="export the scan again, or correct its header",
    )


def _require_usable(path: Path, form: str, affine: NDArray[np.float64]) -> None:
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise _unusable(path, form, f"rows {affine[:3].tolist()}")


def _require_agreement(
    path: Path,
    header: Header,
    sform: NDArray[np.float64],
    qform: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> None:
    box = np.broadcast_to(np.False_, shape)
    grid = Volume(box, sform)
    apart_mm = grid.grid_difference_voxels(Volume(box, qform)) * min(grid.spacing_mm)
    allowed_mm = MAXIMUM_FORM_DISAGREEMENT_MM + _qform_resolution_mm(header, grid)
    if apart_mm > allowed_mm:
        raise GeometryError(
            f"{path}: sform and qform",
            expected=f"agreement within {allowed_mm:.2g} mm",
            found=f"corners up to {apart_mm:.3g} mm apart",
            remedy="find out which of the two is right and write it into both",
        )


def _qform_resolution_mm(header: Header, grid: Volume) -> float:
    """How far the qform may move the farthest voxel because of its storage alone.

    Three numbers of a quaternion are stored in 32 bits; the fourth is the root of what they leave
    of 1. Near a half turn, as in scans whose axes run to LPS, that is hardly more than rounding.
    """
    rounding = 3 * float(np.finfo(np.float32).eps)
    root = float(header.get_qform_quaternion()[0])
    turn_radians = 2 * min(math.sqrt(rounding), rounding / max(root, rounding))
    return turn_radians * float(np.linalg.norm(np.multiply(grid.shape, grid.spacing_mm)))
