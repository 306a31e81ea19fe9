"""Derives the affine of a NIfTI file from its sform and qform."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import nibabel as nib
import numpy as np

from slicewise.errors import GeometryError
from slicewise.imaging.nifti.header import Header
from slicewise.imaging.nifti.skew import Affine, corners_apart_mm, straightened
from slicewise.imaging.volume import Volume

MAXIMUM_FORM_DISAGREEMENT_MM = 0.1
_MM_PER_UNIT = {1: 1000.0, 3: 0.001}
"""Of metres and microns in ``xyzt_units``; any other code means millimetres."""
_LARGEST_SPACING_MM = 100.0
_UNIT_NAMES = {1: "metres", 3: "microns"}
NO_FORM = "no orientation in the header (sform and qform codes are 0)"
_FORMS = ("sform", "qform")
_FLOAT32_STEP = float(np.finfo(np.float32).eps)


def affine_of(
    path: Path,
    header: Header,
    shape: tuple[int, int, int],
    choice: Literal["agreeing", "sform", "qform"] = "agreeing",
) -> tuple[Affine, tuple[str, ...]]:
    """The affine of a file: its sform if there is one, otherwise its qform.

    The choice matters only if both forms exist and they differ, or one of them is unusable.

    Args:
        path: of the file, for messages.
        header: of the file.
        shape: voxels along each axis.
        choice: ``reading.nifti_form``.

    Returns:
        Affine of shape (4, 4), voxel indices to RAS+ millimetres; and warnings.

    Raises:
        GeometryError: the form is not finite and invertible, or the two forms differ and none is
            chosen.
    """
    affine, form_warnings = _placed(path, header, shape, choice)
    unit_warnings = _unit_warnings(path, header, affine)
    affine, skew_warnings = straightened(affine, shape)
    return affine, (*form_warnings, *unit_warnings, *skew_warnings)


def places(header: Header, volume: Volume) -> bool:
    """Whether a form of a header is equivalent to the affine of a volume."""
    names = [name for name in _FORMS if header[f"{name}_code"] > 0] or ["pixdim"]
    for name in names:
        try:
            form = _form(Path(volume.name), name, header)
        except GeometryError:
            continue
        for affine in (form, straightened(form, volume.shape)[0]):
            apart_mm = corners_apart_mm(affine, volume.affine, volume.shape)
            if apart_mm <= 1e-4 + _rounding_mm(volume):
                return True
    return False


def forms_agree(header: Header, shape: tuple[int, int, int]) -> bool:
    """Whether sform and qform are equivalent within the precision of a qform."""
    return _apart_mm(header, shape) <= _allowed_mm(header, shape)


def _placed(
    path: Path, header: Header, shape: tuple[int, int, int], choice: str
) -> tuple[Affine, tuple[str, ...]]:
    codes = {name: int(header[f"{name}_code"]) for name in _FORMS}
    if min(codes.values()) < 0:
        found = ", ".join(f"{name}_code {code}" for name, code in codes.items())
        raise _unusable(path, "form codes", found)
    present = [name for name, code in codes.items() if code > 0]
    if not present:
        return _form(path, "pixdim", header), (NO_FORM,)
    if len(present) == 1:
        return _form(path, present[0], header), ()
    usable, unusable = _both(path, header)
    if choice == "agreeing":
        if unusable:
            raise _with_choice(next(iter(unusable.values())), usable)
        _require_agreement(path, header, shape)
        return usable["sform"], ()
    if choice in unusable:
        raise _with_choice(unusable[choice], usable)
    if unusable:
        return usable[choice], (f"the {next(iter(unusable))} is unusable, the {choice} was used",)
    if not forms_agree(header, shape):
        apart_mm = _apart_mm(header, shape)
        return usable[choice], (
            f"sform and qform are up to {apart_mm:.3g} mm apart, the {choice} was used",
        )
    return usable["sform"], ()


def _both(path: Path, header: Header) -> tuple[dict[str, Affine], dict[str, GeometryError]]:
    """The usable forms, and the errors of the others."""
    usable, unusable = {}, {}
    for name in _FORMS:
        try:
            usable[name] = _form(path, name, header)
        except GeometryError as error:
            unusable[name] = error
    return usable, unusable


def _form(path: Path, name: str, header: Header) -> Affine:
    try:
        affine = _matrix(name, header)
    except (ValueError, nib.spatialimages.HeaderDataError) as error:
        raise _unusable(path, name, str(error)) from None
    # Relative to the voxels, which may be measured in microns.
    box = float(np.prod(np.linalg.norm(affine[:3, :3], axis=0)))
    singular = not box or abs(np.linalg.det(affine[:3, :3])) < 1e-9 * box
    if not np.isfinite(affine).all() or singular:
        raise _unusable(path, name, f"rows {affine[:3].tolist()}")
    return affine


def _matrix(name: str, header: Header) -> Affine:
    """A form in millimetres, whatever the unit of the header is."""
    affine = _stored_matrix(name, header)
    affine[:3] *= _MM_PER_UNIT.get(_unit(header), 1.0)
    return affine


def _unit(header: Header) -> int:
    return int(header["xyzt_units"]) & 7


def _unit_warnings(path: Path, header: Header, affine: Affine) -> tuple[str, ...]:
    """What to know about a file that is not in millimetres.

    Raises:
        GeometryError: the voxels would be absurdly large, so that the unit must be wrong.
    """
    unit = _UNIT_NAMES.get(_unit(header))
    if unit is None:
        return ()
    spacing_mm = np.linalg.norm(affine[:3, :3], axis=0)
    if spacing_mm.max() > _LARGEST_SPACING_MM:
        raise GeometryError(
            f"{path}: xyzt_units",
            expected=f"voxels of at most {_LARGEST_SPACING_MM:g} mm",
            found=f"{' x '.join(f'{size:g}' for size in spacing_mm)} mm, because the header says "
            f"that they are measured in {unit}",
            remedy="correct the unit in the header to millimetres (xyzt_units 2)",
        )
    return (f"measured in {unit} (xyzt_units), read in millimetres",)


def _stored_matrix(name: str, header: Header) -> Affine:
    if name == "sform":
        return np.array(header.get_sform(), dtype=np.float64)
    if name == "pixdim":
        return np.array(header.get_base_affine(), dtype=np.float64)
    # The reference library treats any non-negative qfac as 1; nibabel refuses it.
    tolerant = header.copy()
    tolerant["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    return np.array(tolerant.get_qform(), dtype=np.float64)


def _unusable(path: Path, form: str, found: str) -> GeometryError:
    return GeometryError(
        f"{path}: {form}",
        expected="a finite, invertible affine",
        found=found,
        remedy="export the scan again, or correct its header",
    )


def _with_choice(error: GeometryError, usable: dict[str, Affine]) -> GeometryError:
    remedy = error.remedy
    for name in usable:
        remedy += f"; to use the {name} instead, set reading.nifti_form to {name}"
    return GeometryError(error.where, expected=error.expected, found=error.found, remedy=remedy)


def _require_agreement(path: Path, header: Header, shape: tuple[int, int, int]) -> None:
    if not forms_agree(header, shape):
        raise GeometryError(
            f"{path}: sform and qform",
            expected=f"agreement within {_allowed_mm(header, shape):.2g} mm",
            found=f"corners up to {_apart_mm(header, shape):.3g} mm apart",
            remedy="find out which form is right, and set reading.nifti_form to sform or qform",
        )


def _apart_mm(header: Header, shape: tuple[int, int, int]) -> float:
    return corners_apart_mm(_matrix("sform", header), _matrix("qform", header), shape)


def _allowed_mm(header: Header, shape: tuple[int, int, int]) -> float:
    """Allowed difference of the forms: larger where the precision of a qform is lower.

    Three components of the quaternion are stored in 32 bits, and the fourth is derived from them.
    For rotations near 180 degrees, as of scans with LPS axes, it is dominated by rounding errors.
    """
    rounding = 3 * _FLOAT32_STEP
    root = float(header.get_qform_quaternion()[0])
    turn_radians = 2 * min(math.sqrt(rounding), rounding / max(root, rounding))
    spacing_mm = np.linalg.norm(_matrix("sform", header)[:3, :3], axis=0)
    farthest_mm = float(np.linalg.norm(np.multiply(shape, spacing_mm)))
    return MAXIMUM_FORM_DISAGREEMENT_MM + turn_radians * farthest_mm


def _rounding_mm(volume: Volume) -> float:
    """Rounding error of a position, because forms are stored as float32."""
    largest = np.abs(volume.affine[:3]) @ [*volume.shape, 1]
    return float(largest.max()) * _FLOAT32_STEP
