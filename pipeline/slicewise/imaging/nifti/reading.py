"""A NIfTI file in, its ``Volume`` out; a damaged file is refused."""

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
from slicewise.imaging.nifti.stream import read_range
from slicewise.imaging.volume import Volume

SUFFIXES = (".nii.gz", ".nii")


@dataclass(frozen=True)
class NiftiVolume:
    """One volume of a file with several.

    Attributes:
        path: of the file.
        volume: counted from 0, in the order of the file; people read it counted from 1.
    """

    path: Path
    volume: int

    def __str__(self) -> str:
        return f"{self.path}, volume {self.volume + 1}"

    @property
    def name(self) -> str:
        """What the volume is called: the file's stem and the number, such as ``run_v001``."""
        return stem(self.path) + self.ending

    @property
    def ending(self) -> str:
        """What tells the volume from the others of its file, such as ``_v001``."""
        return f"_v{self.volume + 1:03d}"


def is_nifti(path: Path) -> bool:
    """Whether a name ends like a NIfTI file; ``._`` files are a file system's leftovers."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def stem(path: Path) -> str:
    """File name without its NIfTI suffix."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def volume_count(path: Path) -> int:
    """How many volumes a file holds; only its header is read.

    Raises:
        ScanError: no NIfTI header, absurd sizes, or voxels that are no real numbers.
    """
    return dimensions(path, nifti_header(path))[1]


# Absurd numbers in a header are found by the checks below; numpy need not warn of them, too.
@np.errstate(invalid="ignore", over="ignore")
def read_nifti(
    path: Path, reading: ReadingSection = ReadingSection(), volume: int | None = None
) -> Volume:
    """Read one volume, from a file that is checked to its last byte.

    Args:
        path: ``.nii`` or ``.nii.gz``; four dimensions are fine where the fourth is 1.
        reading: how faults are met.
        volume: which one of a file with several, counted from 0.

    Returns:
        Voxels (X, Y, Z): as they are stored where nothing is scaled, float32 otherwise. The
        header is the file's own, even where the affine was repaired.

    Raises:
        ScanError: damaged, absurd, complex, or several volumes in one file and none chosen.
        GeometryError: no usable affine, or two that disagree.
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
    voxels, filling_warnings = _filled(scaled, reading)
    name = stem(path) if volume is None else NiftiVolume(path, volume).name
    return Volume(
        voxels, affine, name, header, (*form_warnings, *scaling_warnings, *filling_warnings)
    )


def _require_volume(path: Path, count: int, volume: int | None) -> None:
    if volume is None and count > 1:
        raise ScanError(
            f"{path}: dim",
            expected="one volume",
            found=f"{count} volumes in one file",
            remedy="let find_scans split it, or write each volume into a file of its own",
        )
    if volume is not None and not 0 <= volume < count:
        raise ScanError(
            f"{path}: dim",
            expected=f"a volume {volume + 1}",
            found=f"{count} volumes in the file",
            remedy="look for the scans again; the file has changed",
        )


def _scaled(stored: NDArray[Any], header: Header) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The values that the stored ones mean.

    A slope of 0 means values as stored, says the standard; so does one that is no number here.
    Everyday files have neither: nibabel, ITK and dcm2niix write slope 1 and intercept 0 where
    nothing is scaled. (The NaN that nibabel shows is its own, put there after reading.)
    """
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0 or not (math.isfinite(slope) and math.isfinite(intercept)):
        return native, (f"scaling {slope:g} * x + {intercept:g} in the header was ignored",)
    if (slope, intercept) == (1.0, 0.0):
        return native, ()
    return (native * slope + intercept).astype(np.float32), ()


def _filled(voxels: NDArray[Any], reading: ReadingSection) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Zeros for what is no finite number, if that is asked for; who uses voxels refuses them."""
    if reading.non_finite == "refuse" or voxels.dtype.kind != "f":
        return voxels, ()
    finite = np.isfinite(voxels)
    count = int(finite.size - np.count_nonzero(finite))
    if count == 0:
        return voxels, ()
    filled = np.where(finite, voxels, voxels.dtype.type(0))
    return filled, (f"{count} NaN or infinite voxels were filled with 0",)
