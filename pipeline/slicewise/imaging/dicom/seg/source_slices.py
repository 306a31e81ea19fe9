"""Reads what a derived object needs to refer to the slices of a series.

Runs in a child process of the sandbox only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slicewise.errors import GeometryError, ScanError, file_problem
from slicewise.imaging.dicom.frames import flat_frame, is_multi_frame
from slicewise.imaging.dicom.grid import LPS_TO_RAS
from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.projection import is_projection
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.dicom.tags import finite_numbers, integer, text, unreadable
from slicewise.imaging.volume import Affine

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from pydicom import Dataset

TOLERANCE_VOXELS = 0.1
"""Maximum distance of a slice from its position on the grid, which has the mean slice distance."""
OTHER_FORMATS = "write NIfTI or .seg.nrrd"
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


@dataclass(frozen=True)
class SourceSlice:
    """A slice of a scan that a derived object refers to.

    Attributes:
        path: of its file.
        class_uid: SOPClassUID of its object.
        instance_uid: SOPInstanceUID of its object.
        frame: number of the frame, from 1; None if the object has only one.
        header: its tags under their classic keywords.
        affine: (4, 4), (column, row, 0) indices to RAS+ millimetres; None for a radiograph, which
            has no position in the patient.
    """

    path: Path
    class_uid: str
    instance_uid: str
    frame: int | None
    header: Dataset
    affine: Affine | None


def source_slices(series: DicomSeries) -> list[SourceSlice]:
    """Read the headers of all slices of a series, in its order.

    Raises:
        ScanError: a file cannot be read, or has no unique identifier.
        GeometryError: a slice is not at its position in the series.
    """
    slices: list[SourceSlice] = []
    for path, run in groupby(zip(series.files, series.frames, strict=True), key=lambda one: one[0]):
        dataset = read_header(path)
        try:
            slices += [_slice(path, dataset, frame) for _, frame in run]
        except (ScanError, MemoryError):
            raise
        except Exception as error:  # values are converted on access, and may be anything
            raise unreadable(path, "a DICOM header", error) from None
    assert len(slices) == series.shape[2], (len(slices), series.shape)
    for place, one in enumerate(slices):
        if one.affine is not None:
            require_place(one.affine, series, place, one.path)
    if len({(one.instance_uid, one.frame) for one in slices}) < len(slices):
        raise ScanError(
            f"{slices[0].path.parent}: SOPInstanceUID",
            expected="a unique identifier for each slice",
            found="one identifier for several slices",
            remedy=f"export the series again, or {OTHER_FORMATS}",
        )
    return slices


def read_header(path: Path) -> Dataset:
    """Read a header without pixels.

    Raises:
        ScanError: the file cannot be read or parsed.
    """
    try:
        return open_dicom(path, stop_before_pixels=True)
    except OSError as error:
        raise ScanError(
            path,
            expected="the file of the series",
            found=file_problem(error),
            remedy="restore it, or scan the folder again",
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # a malicious file can make the parser raise anything
        raise unreadable(path, "a DICOM header", error) from None


def _slice(path: Path, dataset: Dataset, frame: int) -> SourceSlice:
    for keyword in NEEDED:
        if not text(dataset, keyword):
            raise ScanError(
                f"{path}: {keyword}",
                expected="an identifier that a segmentation can refer to",
                found="no identifier",
                remedy=f"export the series again, or {OTHER_FORMATS}",
            )
    header = flat_frame(dataset, frame) if is_multi_frame(dataset) else dataset
    # The single frame of an object is referred to without a frame number.
    has_frames = (integer(dataset, "NumberOfFrames") or 1) > 1
    return SourceSlice(
        path,
        text(dataset, "SOPClassUID"),
        text(dataset, "SOPInstanceUID"),
        frame + 1 if has_frames else None,
        header,
        None if is_projection(dataset) else plane_affine(path, header),
    )


def plane_affine(where: Path, header: Dataset) -> Affine:
    """(4, 4), (column, row, 0) indices of a slice to RAS+ millimetres (PS3.3 C.7.6.2.1.1).

    Raises:
        GeometryError: a tag of the plane is absent or not numeric.
    """
    cosines = np.array(finite_numbers(where, header, "ImageOrientationPatient", 6))
    row_mm, column_mm = finite_numbers(where, header, "PixelSpacing", 2)
    lps = np.eye(4)
    lps[:3, 0] = cosines[:3] * column_mm
    lps[:3, 1] = cosines[3:] * row_mm
    lps[:3, 2] = np.cross(cosines[:3], cosines[3:])
    lps[:3, 3] = finite_numbers(where, header, "ImagePositionPatient", 3)
    return LPS_TO_RAS @ lps


def plane_corners(columns: int, rows: int) -> NDArray[np.float64]:
    """Homogeneous (column, row, 0) indices of the corner pixels of a slice, one per row: (4, 4)."""
    return np.array([[i, j, 0, 1] for i in (0, columns - 1) for j in (0, rows - 1)], dtype=float)


def require_place(affine: Affine, series: DicomSeries, place: int, where: Path) -> None:
    """Require that a plane is that of a slice of a series.

    Args:
        affine: of the plane, from ``plane_affine``.
        series: of the slice.
        place: index of the slice, from 0.
        where: file, for messages.

    Raises:
        GeometryError: a corner is further away than the tolerance.
    """
    corners = plane_corners(series.shape[0], series.shape[1])
    found = corners @ (np.linalg.inv(series.affine) @ affine).T  # (4 corners, 4)
    apart = np.abs(found - corners - [0, 0, place, 0]).max()
    if not apart <= TOLERANCE_VOXELS:
        raise GeometryError(
            where,
            expected=f"slice {place + 1} of {series.shape[2]} at its position in the series "
            f"(within {TOLERANCE_VOXELS} voxel)",
            found=f"{apart:.3g} voxels away",
            remedy=f"scan the folder again if its files have changed; otherwise {OTHER_FORMATS}",
        )
