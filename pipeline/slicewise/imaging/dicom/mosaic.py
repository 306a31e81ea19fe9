"""A Siemens mosaic in, the slices that are tiled into its image out.

The file states the corner of the whole image as if it were one large slice. The first slice lies
where a small image of the same centre would begin; the others follow along the normal that only
Siemens' own header (CSA) tells the sign of.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicewise.errors import GeometryError
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
    # Another maker may keep anything under the same private tag.
    is_siemens = private_text(dataset, SIEMENS_CREATOR).startswith("SIEMENS")
    return "MOSAIC" in image_type or (is_siemens and SIEMENS_MOSAIC_IMAGES in dataset)


def tiles_a_side(tiles: int) -> int:
    """Tiles along each side of a mosaic; the last ones stay black."""
    return math.ceil(math.sqrt(tiles))


def tiles_of(image: SliceHeader, path: Path) -> list[SliceHeader]:
    """The slices of a mosaic, each as if it had a file of its own.

    Args:
        image: the mosaic read as one slice.
        path: of the file, read again for Siemens' own header.

    Raises:
        GeometryError: the number or the direction of the slices is not stated.
    """
    count, normal = _csa_facts(path)
    side = tiles_a_side(count)
    step_mm = image.stated_step_mm or image.thickness_mm
    is_sound = step_mm is not None and LEAST_STEP_MM <= step_mm <= LARGEST_STEP_MM
    if step_mm is None or not is_sound or image.rows % side or image.columns % side:
        raise GeometryError(
            f"{path}: SpacingBetweenSlices, Rows, Columns",
            expected=f"{LEAST_STEP_MM:g} to {LARGEST_STEP_MM:g} mm between slices, and sides that "
            f"{side} tiles divide",
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
            # Every file is a volume of its own.
            moments=(*image.moments[:-1], ("file", str(path))),
        )
        for tile in range(count)
    ]


def _csa_facts(path: Path) -> tuple[int, np.ndarray]:
    import pydicom
    from nibabel.nicom import csareader

    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    csa = csareader.get_csa_header(dataset, "image")
    count = csareader.get_n_mosaic(csa) if csa else None
    normal = csareader.get_slice_normal(csa) if csa else None
    length = 0.0 if normal is None else float(np.linalg.norm(normal))
    if count is None or not 1 <= count <= MAXIMUM_TILES or not 0.99 < length < 1.01:
        raise GeometryError(
            f"{path}: CSA image header",
            expected="the number of the tiled slices and the direction in which they follow",
            found="none, so that top and bottom could not be told apart",
            remedy="export the series with Siemens' private tags, or as single-frame DICOM",
        )
    return int(count), np.asarray(normal, dtype=np.float64) / length
