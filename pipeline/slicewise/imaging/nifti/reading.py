"""Reads volumes from NIfTI files and refuses damaged ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.imaging.nifti.forms import affine_of
from slicewise.imaging.nifti.header import Header, dimensions, nifti_header, voxel_offset
from slicewise.imaging.nifti.sidecar import read_sidecar
from slicewise.imaging.nifti.stream import read_range
from slicewise.imaging.volume import Volume

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class NiftiVolume:
    """One volume of a file with several volumes.

    Attributes:
        path: of the file.
        volume: index in the file, from 0; messages and names count from 1.
    """

    path: Path
    volume: int

    def __str__(self) -> str:
        return f"{self.path}, volume {self.volume + 1}"

    @property
    def name(self) -> str:
        """Name of the volume: stem of the file and number, such as ``run_v001``."""
        return stem(self.path) + self.ending

    @property
    def ending(self) -> str:
        """Suffix of the name that identifies the volume in its file, such as ``_v001``."""
        return f"_v{self.volume + 1:03d}"


def is_nifti(path: Path) -> bool:
    """Whether a path has the suffix of NIfTI; ``._`` files are metadata of macOS."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """File name without its NIfTI suffix."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def volume_count(path: Path) -> int:
    """Number of volumes in a file; only its header is read.

    Raises:
        ScanError: no NIfTI header, excessive sizes, or voxels that are not real numbers.
    """
    return dimensions(path, nifti_header(path))[1]


# Invalid numbers in a header are found by the checks below.
@np.errstate(invalid="ignore", over="ignore")
def read_nifti(
    path: Path, reading: ReadingSection = ReadingSection(), volume: int | None = None
) -> Volume:
    """Read one volume, and verify the file to its last byte.

    Args:
        path: ``.nii`` or ``.nii.gz``; further dimensions of size 1 are allowed.
        reading: error handling.
        volume: index of the volume in a file with several, from 0.

    Returns:
        Voxels of shape (X, Y, Z), as stored if there is no scaling, otherwise float32. The header
        is that of the file, even if the affine was repaired.

    Raises:
        ScanError: damaged, excessive size, complex, or several volumes and none chosen.
        GeometryError: no usable affine, or two that differ.
    """
    header = nifti_header(path)
    shape, count = dimensions(path, header)
    _require_volume(path, count, volume)
    dtype = header.get_data_dtype()
    size = math.prod(shape) * dtype.itemsize
    start = voxel_offset(path, header)
    content = read_range(path, start + (volume or 0) * size, size, start + count * size)
    stored = np.frombuffer(content, dtype).reshape(shape, order="F")
    affine, form_warnings = affine_of(path, header, shape, reading.nifti_form)
    scaled, scaling_warnings = _scaled(stored, header)
    voxels, finite_warnings = _replaced(scaled, reading)
    name = stem(path) if volume is None else NiftiVolume(path, volume).name
    facts, sidecar_warnings = read_sidecar(path, stem(path))
    warnings = (*form_warnings, *scaling_warnings, *finite_warnings, *sidecar_warnings)
    return Volume(voxels, affine, name, header, warnings, facts)


def _require_volume(path: Path, count: int, volume: int | None) -> None:
    if volume is None and count > 1:
        raise ScanError(
            f"{path}: dim",
            expected="one volume",
            found=f"{count} volumes in one file",
            remedy="split it with find_scans, or save each volume as a file",
        )
    if volume is not None and not 0 <= volume < count:
        raise ScanError(
            f"{path}: dim",
            expected=f"at least {volume + 1} volumes",
            found=f"{count} volumes",
            remedy="search for the scans again: the file has changed",
        )


def _scaled(stored: NDArray[Any], header: Header) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Apply slope and intercept of the header.

    With a slope of 0 there is no scaling, according to the standard; the same holds for NaN here.
    Both are rare: nibabel, ITK and dcm2niix write slope 1 and intercept 0 if there is no scaling.
    """
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        return native, (f"scaling {slope:g} * x + {intercept:g} in the header was ignored",)
    if (slope, intercept) == (1.0, 0.0):
        return native, ()
    return (native * slope + intercept).astype(np.float32), ()


def _replaced(
    voxels: NDArray[Any], reading: ReadingSection
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Replace NaN and infinite voxels by 0, if configured; they are refused later otherwise."""
    if reading.non_finite == "refuse" or voxels.dtype.kind != "f":
        return voxels, ()
    finite = np.isfinite(voxels)
    count = int(finite.size - np.count_nonzero(finite))
    if count == 0:
        return voxels, ()
    replaced = np.where(finite, voxels, voxels.dtype.type(0))
    return replaced, (f"{count} NaN or infinite voxels were replaced by 0",)
