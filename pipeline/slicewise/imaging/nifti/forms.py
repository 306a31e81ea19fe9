"""The two forms of a NIfTI header in, one affine out: they agree, or one is chosen."""

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
NO_FORM = "no orientation in the header (sform and qform codes are 0)"
_FORMS = ("sform", "qform")
_FLOAT32_STEP = float(np.finfo(np.float32).eps)


def affine_of(
    path: Path,
    header: Header,
    shape: tuple[int, int, int],
    choice: Literal["agreeing", "sform", "qform"] = "agreeing",
) -> tuple[Affine, tuple[str, ...]]:
    """The affine that places the voxels: the sform where there is one, otherwise the qform.

    The choice counts where there is something to choose: both forms are there, and they differ or
    one of them is unusable. Otherwise the form that is there is taken, whatever the choice.

    Args:
        path: for messages.
        header: of the file.
        shape: voxels along each axis.
        choice: ``reading.nifti_form``.

    Returns:
        (4, 4), voxel indices to RAS+ millimetres, and what should be known about it.

    Raises:
        GeometryError: no form, or not the chosen one, is finite and invertible; or the two
            disagree and none was chosen.
    """
    affine, form_warnings = _placed(path, header, shape, choice)
    affine, skew_warnings = straightened(affine, shape)
    return affine, (*form_warnings, *skew_warnings)


def places(header: Header, volume: Volume) -> bool:
    """Whether a form of a header puts the voxels of a volume where its affine does."""
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
    """Whether sform and qform put the voxels in the same places, as far as a qform can tell."""
    return _apart_mm(header, shape) <= _allowed_mm(header, shape)


def _placed(
    path: Path, header: Header, shape: tuple[int, int, int], choice: str
) -> tuple[Affine, tuple[str, ...]]:
    codes = {name: int(header[f"{name}_code"]) for name in _FORMS}
    if min(codes.values()) < 0:
        found = ", ".join(f"{name}_code {code}" for name, code in codes.items())
        raise _unusable(path, "form codes", found)
    there = [name for name, code in codes.items() if code > 0]
    if not there:
        return _form(path, "pixdim", header), (NO_FORM,)
    if len(there) == 1:
        return _form(path, there[0], header), ()
    sound, broken = _both(path, header)
    if choice == "agreeing":
        if broken:
            raise _with_choice(next(iter(broken.values())), sound)
        _require_agreement(path, header, shape)
        return sound["sform"], ()
    if choice in broken:
        raise _with_choice(broken[choice], sound)
    if broken:
        return sound[choice], (f"the {next(iter(broken))} is unusable, the {choice} was taken",)
    if not forms_agree(header, shape):
        apart_mm = _apart_mm(header, shape)
        return sound[choice], (
            f"sform and qform are up to {apart_mm:.3g} mm apart, the {choice} was taken",
        )
    return sound["sform"], ()


def _both(path: Path, header: Header) -> tuple[dict[str, Affine], dict[str, GeometryError]]:
    """The forms that can be used, and why the others cannot."""
    sound, broken = {}, {}
    for name in _FORMS:
        try:
            sound[name] = _form(path, name, header)
        except GeometryError as error:
            broken[name] = error
    return sound, broken


def _form(path: Path, name: str, header: Header) -> Affine:
    try:
        affine = _matrix(name, header)
    except (ValueError, nib.spatialimages.HeaderDataError) as error:
        raise _unusable(path, name, str(error)) from None
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise _unusable(path, name, f"rows {affine[:3].tolist()}")
    return affine


def _matrix(name: str, header: Header) -> Affine:
    if name == "sform":
        return np.asarray(header.get_sform(), dtype=np.float64)
    if name == "pixdim":
        return np.asarray(header.get_base_affine(), dtype=np.float64)
    # The standard's own library takes any qfac that is not negative for 1; nibabel refuses it.
    tolerant = header.copy()
    tolerant["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    return np.asarray(tolerant.get_qform(), dtype=np.float64)


def _unusable(path: Path, form: str, found: str) -> GeometryError:
    return GeometryError(
        f"{path}: {form}",
        expected="a finite, invertible affine",
        found=found,
        remedy="export the scan again, or correct its header",
    )


def _with_choice(error: GeometryError, sound: dict[str, Affine]) -> GeometryError:
    remedy = error.remedy
    for name in sound:
        remedy += f"; to take the {name} instead, set reading.nifti_form to {name}"
    return GeometryError(error.where, expected=error.expected, found=error.found, remedy=remedy)


def _require_agreement(path: Path, header: Header, shape: tuple[int, int, int]) -> None:
    if not forms_agree(header, shape):
        raise GeometryError(
            f"{path}: sform and qform",
            expected=f"agreement within {_allowed_mm(header, shape):.2g} mm",
            found=f"corners up to {_apart_mm(header, shape):.3g} mm apart",
            remedy="find out which one is right and set reading.nifti_form to sform or qform",
        )


def _apart_mm(header: Header, shape: tuple[int, int, int]) -> float:
    return corners_apart_mm(_matrix("sform", header), _matrix("qform", header), shape)


def _allowed_mm(header: Header, shape: tuple[int, int, int]) -> float:
    """How far the forms may be apart: more where a qform cannot be stored any better.

    Three numbers of a quaternion are stored in 32 bits; the fourth is the root of what they leave
    of 1. Near half a turn, as in scans whose axes run to LPS, that is hardly more than rounding.
    """
    rounding = 3 * _FLOAT32_STEP
    root = float(header.get_qform_quaternion()[0])
    turn_radians = 2 * min(math.sqrt(rounding), rounding / max(root, rounding))
    spacing_mm = np.linalg.norm(header.get_sform()[:3, :3], axis=0)
    farthest_mm = float(np.linalg.norm(np.multiply(shape, spacing_mm)))
    return MAXIMUM_FORM_DISAGREEMENT_MM + turn_radians * farthest_mm


def _rounding_mm(volume: Volume) -> float:
    """What float32, in which forms are stored, may add to a position."""
    largest = np.abs(volume.affine[:3]) @ [*volume.shape, 1]
    return float(largest.max()) * _FLOAT32_STEP
