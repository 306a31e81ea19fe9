"""Decodes DICOM SEG into label maps.

Runs in a child process of the sandbox only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.dicom.grid import LPS_TO_RAS
from slicewise.imaging.dicom.seg.frames import (
    SegmentationFrame,
    frames_of,
    open_segmentation,
)
from slicewise.imaging.dicom.seg.placing import voxels_under
from slicewise.imaging.dicom.seg.segments import is_automatic, label_values
from slicewise.imaging.dicom.tags import unreadable
from slicewise.imaging.volume import Affine, Volume

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from highdicom.seg import Segmentation
    from pydicom import Dataset

MAXIMUM_VOXELS = 2**31
AUTOMATIC = "created by an algorithm, not drawn or corrected by a person"


@dataclass(frozen=True)
class LabelGrid:
    """Grid of a label map.

    Attributes:
        affine: (4, 4), voxel indices to RAS+ millimetres.
        shape: voxels along each axis.
        name: for messages.
    """

    affine: Affine
    shape: tuple[int, int, int]
    name: str


def decode_segmentation(
    path: Path, onto: LabelGrid | None, names: Mapping[str, int], target: Path
) -> tuple[Affine, tuple[str, ...]]:
    """Write the labels of a segmentation to a file, and return their affine and warnings.

    Args:
        path: of the DICOM SEG.
        onto: grid of the labels; None takes the smallest grid that contains all frames.
        names: structure name to value, as configured.
        target: ``.npy`` file to create, indexed (i, j, k).

    Raises:
        ScanError: damaged, or not a DICOM SEG.
        GeometryError: a frame is not on the grid, or the frames do not form a grid.
        LabelError: fractions, overlapping segments, or values without a segment.
        OSError: a file cannot be read or written.
    """
    segmentation = open_segmentation(path)
    try:
        grid = onto or _own_grid(path, segmentation)
        values, warnings = label_values(segmentation, names, path)
        table = _label_table(segmentation, values)
        if is_automatic(segmentation):
            warnings += (AUTOMATIC,)
        smallest = np.min_scalar_type(int(table.max()))
        # Fortran order: slices are contiguous in memory.
        labels = Volume(np.zeros(grid.shape, smallest, order="F"), grid.affine, grid.name)
        for frame in frames_of(path, segmentation):
            pixels = segmentation.get_stored_frame(frame.number)  # (rows, columns)
            numbers = pixels if frame.segment is None else pixels * np.uint16(frame.segment)
            _put(table[numbers], _voxels(path, frame, pixels, labels), path)
    except (ScanError, OSError, MemoryError):
        raise
    except Exception as error:  # a malicious file can make the parser raise anything
        raise unreadable(path, "a DICOM SEG", error) from None
    np.save(target, labels.voxels)
    return grid.affine, warnings


def _own_grid(path: Path, segmentation: Segmentation) -> LabelGrid:
    """The smallest grid that contains all frames; slices ascend along row x column (LPS)."""
    geometry = segmentation.get_volume_geometry()
    if geometry is None:
        raise GeometryError(
            path,
            expected="frames on one regular grid",
            found="frames at irregular or unknown positions",
            remedy="give the image that it was drawn on",
        )
    # highdicom indexes (slice, row, column), LPS.
    affine = LPS_TO_RAS @ geometry.affine[:, [2, 1, 0, 3]]
    slices, rows, columns = geometry.spatial_shape
    if np.linalg.det(affine[:3, :3]) < 0:
        affine[:3, 3] += (slices - 1) * affine[:3, 2]
        affine[:3, 2] *= -1
    if slices * rows * columns > MAXIMUM_VOXELS:
        raise ScanError(
            path,
            expected=f"at most {MAXIMUM_VOXELS} voxels",
            found=f"{columns} x {rows} x {slices}",
            remedy="give the image that it was drawn on",
        )
    return LabelGrid(affine, (columns, rows, slices), "the segmentation")


def _voxels(
    path: Path, frame: SegmentationFrame, pixels: NDArray[Any], labels: Volume
) -> NDArray[Any]:
    rows, columns = pixels.shape
    if frame.affine is not None:
        return voxels_under(frame.affine, (columns, rows), labels, path)
    if labels.shape != (columns, rows, 1):
        raise GeometryError(
            path,
            expected=f"an image of {columns} x {rows} pixels, because the segmentation has no "
            "position in the patient",
            found=f"{labels.name}, shape {labels.shape}",
            remedy="give the radiograph that it was drawn on",
        )
    return labels.voxels[:, :, 0].T


def _label_table(segmentation: Dataset, values: dict[int, int]) -> NDArray[np.int32]:
    """Label of each segment number; 0 for background, -1 for unknown segments."""
    table = np.full(2**16, -1, dtype=np.int32)
    table[list(values)] = list(values.values())
    table[[0, int(segmentation.get("PixelPaddingValue", 0))]] = 0
    return table


def _put(labels: NDArray[np.int32], voxels: NDArray[Any], path: Path) -> None:
    """Write the labels of a frame, shape (rows, columns), to its voxels."""
    if (labels < 0).any():
        raise LabelError(
            path,
            expected="a description of every segment",
            found="pixels of a segment that is not described",
            remedy="export the segmentation again",
        )
    is_taken = (labels > 0) & (voxels > 0) & (voxels != labels)
    if is_taken.any():
        raise LabelError(
            path,
            expected="segments without overlap, because a voxel has one label",
            found=f"{np.count_nonzero(is_taken)} voxels of a frame in two segments",
            remedy="correct the segmentation, or export each segment to a file",
        )
    np.copyto(voxels, labels, where=labels > 0, casting="unsafe")
