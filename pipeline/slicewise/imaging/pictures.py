"""Pictures (PNG, JPEG, TIFF) as volumes of one slice, and masks as pictures.

A picture has no geometry, so it gets one by convention: the spacing is 1 mm, columns run to the
patient's left and rows to the back, as in an axial DICOM slice, and the centre of the first pixel
is the origin. Resolution tags are ignored, because they describe the size in print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, LabelError, OutputError, ScanError
from slicewise.imaging.files import atomic_file
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.picture_pixels import stored_values
from slicewise.imaging.volume import Affine, Volume

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
NO_GEOMETRY = (
    "a picture has no geometry: sizes are in pixels; by convention columns run to the patient's "
    "left and rows to the back"
)
_MASK_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
_LARGEST_LABEL = 2**16 - 1


def is_picture(path: Path) -> bool:
    """Whether a path has the suffix of a picture; ``._`` files are metadata of macOS."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_picture(path: Path, reading: ReadingSection = ReadingSection()) -> Volume:
    """Read a greyscale picture as a volume of one slice.

    Args:
        path: PNG, JPEG or TIFF of 8 or 16 bits or of 32-bit floating point.
        reading: whether NaN and infinite pixels are replaced.

    Returns:
        Voxels of shape (columns, rows, 1) as stored, with the geometry of the module docstring.

    Raises:
        ScanError: colour, several pages, damaged, absurdly large, or NaN pixels.
    """
    values, notes = stored_values(path)
    broken = np.count_nonzero(~np.isfinite(values))
    if broken and reading.non_finite == "refuse":
        raise ScanError(
            path,
            expected="finite pixels",
            found=f"{broken} NaN or infinite pixels",
            remedy="export the picture again, or set reading.non_finite to zero",
        )
    if broken:
        values = np.where(np.isfinite(values), values, 0)
        notes += (f"{broken} NaN or infinite pixels were replaced by 0",)
    return _picture(values, path, (NO_GEOMETRY, *notes))


def read_picture_mask(path: Path) -> Volume:
    """Read a label map from a picture; with a palette, the labels are the indices.

    Returns:
        Voxels of shape (columns, rows, 1) as stored, with the geometry of the module docstring.

    Raises:
        ScanError: colour, several pages, damaged, or absurdly large.
        LabelError: a JPEG.
    """
    values, _ = stored_values(path, as_labels=True)
    return _picture(values, path, (NO_GEOMETRY,))


def picture_affine() -> Affine:
    """Affine of any picture, voxel indices to RAS+ millimetres."""
    return np.diag([-1.0, -1.0, 1.0, 1.0])


def mask_suffix(source: Path) -> str:
    """Suffix for the mask of a picture: the same, except for JPEG, which would change labels."""
    suffix = source.suffix.lower()
    return suffix if suffix in _MASK_FORMATS else ".png"


def write_picture_mask(mask: Volume, path: Path) -> None:
    """Write the mask of a picture as a greyscale picture of the same size.

    Labels are stored unchanged, in 8 bits if they fit, otherwise in 16.

    Args:
        mask: label map, shape (columns, rows, 1), on the grid of a picture.
        path: ``.png``, ``.tif`` or ``.tiff``.

    Raises:
        GeometryError: the mask is not of a picture, so its geometry would be lost.
        LabelError: fractions, or labels that do not fit into 16 bits.
        OutputError: the file cannot be written, or has another suffix.
    """
    values = _storable(mask, path)  # (rows, columns)
    suffix = path.suffix.lower()
    if suffix not in _MASK_FORMATS:
        raise OutputError(
            path,
            expected=f"one of the suffixes {', '.join(_MASK_FORMATS)}",
            found=suffix or "no suffix",
            remedy="use .png; JPEG would change the labels",
        )
    kind, options = _MASK_FORMATS[suffix]
    with atomic_file(path) as temporary:
        Image.fromarray(values).save(temporary, kind, **options)
        written, _ = stored_values(temporary, as_labels=True)
        if written.dtype != values.dtype or not np.array_equal(written, values):
            raise OutputError(
                path,
                expected="the labels that were written",
                found="other labels when the file was read back",
                remedy="check the disk, and write the mask again",
            )


def _picture(values: NDArray[Any], path: Path, warnings: tuple[str, ...]) -> Volume:
    return Volume(
        _as_slice(values),
        picture_affine(),
        path.stem,
        warnings=warnings,
        spacing_is_known=False,
    )


def _as_slice(values: NDArray[Any]) -> NDArray[Any]:
    return values.T[:, :, None]  # (columns, rows, 1)


def _storable(mask: Volume, path: Path) -> NDArray[Any]:
    if mask.shape[2] != 1 or not np.allclose(mask.affine, picture_affine()):
        raise GeometryError(
            path,
            expected="the mask of a picture",
            found=f"a mask of shape {mask.shape} with another geometry",
            remedy="write it as NIfTI, which keeps its geometry",
        )
    labels = whole_numbers(mask.voxels[:, :, 0], str(path))
    if labels.min() < 0 or labels.max() > _LARGEST_LABEL:
        raise LabelError(
            path,
            expected=f"labels from 0 to {_LARGEST_LABEL}",
            found=f"{labels.min():g} to {labels.max():g}",
            remedy="choose smaller values in data.labels",
        )
    narrow = labels.max() < 2**8
    return np.ascontiguousarray(labels.T.astype(np.uint8 if narrow else np.uint16))
