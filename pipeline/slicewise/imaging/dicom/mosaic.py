"""Splits Siemens mosaics into the slices that are tiled into one image.

The position in the file is that of the first pixel of the whole image. The first slice has the same
centre; the others follow along the normal, whose sign is stored in the private CSA header only.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicewise.errors import GeometryError
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.slice_header import SliceHeader
from slicewise.imaging.dicom.tags import private_text

if TYPE_CHECKING:
    from pydicom import Dataset

SIEMENS_CREATOR = (0x0019, 0x0010)
SIEMENS_MOSAIC_IMAGES = (0x0019, 0x100A)
MAXIMUM_TILES = 1024
LEAST_STEP_MM, LARGEST_STEP_MM = 0.05, 1e3


def is_mosaic(dataset: Dataset) -> bool:
    """Whether all slices of a volume are tiled into the image."""
    image_type = dataset.get("ImageType") or ()
    # Other manufacturers may use the same private tag.
    is_siemens = private_text(dataset, SIEMENS_CREATOR).startswith("SIEMENS")
    return "MOSAIC" in image_type or (is_siemens and SIEMENS_MOSAIC_IMAGES in dataset)


def tiles_per_side(tiles: int) -> int:
    """Number of tiles along each side of a mosaic; unused tiles are black."""
    return math.ceil(math.sqrt(tiles))


def tiles_of(image: SliceHeader, path: Path) -> list[SliceHeader]:
    """The slices of a mosaic as headers of single slices.

    Args:
        image: the mosaic read as one slice.
        path: of the file, from which the CSA header is read.

    Raises:
        GeometryError: the number or the direction of the slices is unknown.
    """
    count, normal = _csa_facts(path)
    side = tiles_per_side(count)
    step_mm = image.stated_step_mm or image.thickness_mm
    is_sound = step_mm is not None and LEAST_STEP_MM <= step_mm <= LARGEST_STEP_MM
    if step_mm is None or not is_sound or image.rows % side or image.columns % side:
        raise GeometryError(
            f"{path}: SpacingBetweenSlices, Rows, Columns",
            expected=f"{LEAST_STEP_MM:g} to {LARGEST_STEP_MM:g} mm between slices, and numbers of "
            f"rows and columns that {side} divides",
            found=f"{step_mm} mm, {image.rows} x {image.columns}",
            remedy="export the series again as enhanced or as single-frame DICOM",
        )
    rows, columns = image.rows // side, image.columns // side
    row, column = np.split(np.array(image.orientation), 2)
    corner_mm = (
        np.array(image.position_mm)
        + row * image.column_spacing_mm * (image.columns - columns) / 2
        + column * image.row_spacing_mm * (image.rows - rows) / 2
    )
    return [
        replace(
            image,
            frame=tile,
            tiles=count,
            rows=rows,
            columns=columns,
            position_mm=tuple(map(float, corner_mm + tile * step_mm * normal)),
            stated_step_mm=step_mm,
            # Each file is one volume.
            moments=(*image.moments[:-1], ("file", str(path))),
        )
        for tile in range(count)
    ]


def _csa_facts(path: Path) -> tuple[int, np.ndarray]:
    from nibabel.nicom import csareader

    dataset = open_dicom(path, stop_before_pixels=True)
    csa = csareader.get_csa_header(dataset, "image")
    count = csareader.get_n_mosaic(csa) if csa else None
    normal = csareader.get_slice_normal(csa) if csa else None
    length = 0.0 if normal is None else float(np.linalg.norm(normal))
    if count is None or not 1 <= count <= MAXIMUM_TILES or not 0.99 < length < 1.01:
        raise GeometryError(
            f"{path}: CSA image header",
            expected="the number of slices and their direction",
            found="neither of them, so that first and last slice cannot be distinguished",
            remedy="export the series with Siemens' private tags, or as single-frame DICOM",
        )
    return int(count), np.asarray(normal, dtype=np.float64) / length
