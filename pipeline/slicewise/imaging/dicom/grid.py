"""Sorts the slices of a volume and verifies that they form a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError
from slicewise.imaging.dicom.projection import RADIOGRAPH
from slicewise.imaging.dicom.resampling import Resampling
from slicewise.imaging.dicom.slice_header import SliceHeader
from slicewise.imaging.volume import Affine

Vector = NDArray[np.float64]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
COSINE_TOLERANCE = 1e-3
"""Direction cosines are written with five to seven digits."""
SAME_POSITION_MM = 0.01
SPACING_TOLERANCE = 0.01
PIXEL_SPACING_TOLERANCE = 1e-4
GAP_FACTOR = 1.5
TILT_TOLERANCE_PIXELS = 0.1
"""Maximum in-plane shift of any slice against the first."""


@dataclass(frozen=True)
class Grid:
    """Slices sorted along their normal, and the affine of their volume.

    Attributes:
        slices: in ascending position along the normal (row x column direction, LPS).
        affine: (4, 4), (column, row, slice) indices to RAS+ millimetres.
        warnings: about the geometry.
        resampling: from the slices onto the grid; None if they are on it.
    """

    slices: tuple[SliceHeader, ...]
    affine: Affine
    warnings: tuple[str, ...]
    resampling: Resampling | None = None

    @property
    def count(self) -> int:
        """Number of slices of the grid."""
        return self.resampling.count if self.resampling else len(self.slices)


class IrregularStackError(GeometryError):
    """No slice is missing, but the slices do not form a regular rectangular grid."""


def regular_grid(slices: Sequence[SliceHeader], reading: ReadingSection) -> Grid:
    """Sort slices of distinct positions and verify that they form one regular grid.

    Args:
        slices: of one volume, in any order.
        reading: whether an irregular stack is resampled.

    Raises:
        GeometryError: the axes are not orthonormal, slices differ in size, spacing or
            orientation, a slice is missing, the spacing varies, or there is a gantry tilt.
    """
    _require_same_pixels(slices)
    row, column = _in_plane_axes(slices)
    normal = np.cross(row, column)
    ordered = sorted(slices, key=lambda one: float(np.dot(one.position_mm, normal)))
    positions_mm = np.array([one.position_mm for one in ordered])  # (slices, 3)
    resampling = None
    try:
        step_mm, warnings = _slice_step_mm(ordered, positions_mm @ normal)
        _require_no_tilt(ordered, positions_mm, normal)
    except IrregularStackError as error:
        if reading.irregular_slices == "refuse":
            raise
        step_mm = float(np.median(np.diff(positions_mm @ normal)))
        resampling = _places(
            positions_mm, np.stack([row, column, normal]), first=ordered[0], step_mm=step_mm
        )
        warnings = (f"resampled to a regular grid of {step_mm:.4g} mm, because of {error.found}",)
    first = ordered[0]
    lps = np.eye(4)
    # The column index increases along the direction of a row, and vice versa.
    lps[:3, 0] = row * first.column_spacing_mm
    lps[:3, 1] = column * first.row_spacing_mm
    lps[:3, 2] = normal * step_mm
    lps[:3, 3] = positions_mm[0]
    return Grid(tuple(ordered), LPS_TO_RAS @ lps, warnings, resampling)


def _places(
    positions_mm: NDArray[np.float64], axes: NDArray[np.float64], first: SliceHeader, step_mm: float
) -> Resampling:
    """Positions of the slices on the grid of the first; ``axes`` has a unit vector per row."""
    spacing_mm = (first.column_spacing_mm, first.row_spacing_mm, step_mm)
    columns, rows, along = ((positions_mm - positions_mm[0]) @ axes.T / spacing_mm).T
    return Resampling(tuple(map(float, along)), tuple(map(float, columns)), tuple(map(float, rows)))


def slots(slices: Sequence[SliceHeader]) -> list[int]:
    """Index of the position of each slice along the normal; equal positions share an index.

    Raises:
        GeometryError: the axes are not orthonormal.
    """
    normal = np.cross(*_in_plane_axes(slices))
    along_mm = np.array([one.position_mm for one in slices]) @ normal
    order = np.argsort(along_mm, kind="stable")
    is_new = np.diff(along_mm[order], prepend=along_mm[order[0]]) > SAME_POSITION_MM
    numbers = np.empty(len(slices), dtype=int)
    numbers[order] = np.cumsum(is_new)
    return [int(number) for number in numbers]


def _in_plane_axes(slices: Sequence[SliceHeader]) -> tuple[Vector, Vector]:
    """Orthonormal directions of rows and columns, LPS."""
    cosines = np.array([one.orientation for one in slices])  # (slices, 6)
    # Unlike the mean, the median is exactly independent of the order of the files.
    row, column = np.split(np.median(cosines, axis=0), 2)
    lengths = np.linalg.norm([row, column], axis=1)
    if np.abs(lengths - 1).max() > COSINE_TOLERANCE or abs(row @ column) > COSINE_TOLERANCE:
        raise GeometryError(
            f"{slices[0].path}: ImageOrientationPatient",
            expected="two perpendicular unit vectors",
            found=f"lengths {lengths[0]:.4g} and {lengths[1]:.4g}, dot product {row @ column:.4g}",
            remedy="correct the tag, or export the series again",
        )
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / np.linalg.norm(column)


def _require_same_pixels(slices: Sequence[SliceHeader]) -> None:
    first = slices[0]
    for one in slices:
        if (one.rows, one.columns) != (first.rows, first.columns):
            raise GeometryError(
                f"{one.path}: Rows, Columns",
                expected=f"the size of the other slices, {first.rows} x {first.columns}",
                found=f"{one.rows} x {one.columns}",
                remedy="remove the slice if it is of another series, or export the series again",
            )
    spacings_mm = np.array([(one.row_spacing_mm, one.column_spacing_mm) for one in slices])
    unlike = (np.abs(spacings_mm / spacings_mm[0] - 1) > PIXEL_SPACING_TOLERANCE).any(axis=1)
    if unlike.any():
        worst = int(unlike.argmax())
        raise GeometryError(
            f"{slices[worst].path}: PixelSpacing",
            expected="the spacing of the other slices, "
            f"{spacings_mm[0, 0]:g} x {spacings_mm[0, 1]:g} mm",
            found=f"{spacings_mm[worst, 0]:g} x {spacings_mm[worst, 1]:g} mm",
            remedy="remove the slice if it is of another series, or export the series again",
        )


def _slice_step_mm(
    ordered: Sequence[SliceHeader], along_mm: Vector
) -> tuple[float, tuple[str, ...]]:
    if len(ordered) == 1:
        return _single_slice_step_mm(ordered[0])
    steps_mm = np.diff(along_mm)
    usual_mm, mean_mm = float(np.median(steps_mm)), float(steps_mm.mean())
    widest = int(steps_mm.argmax())
    if steps_mm[widest] > GAP_FACTOR * usual_mm:
        raise GeometryError(
            ordered[widest].path,
            expected=f"a slice every {usual_mm:.4g} mm",
            # Not the name of the next file: file names may contain names of patients.
            found=f"a gap of {steps_mm[widest]:.4g} mm after slice {widest + 1} of {len(ordered)}",
            remedy="export the missing slices",
        )
    variation = float(np.abs(steps_mm - mean_mm).max() / mean_mm)
    if variation > SPACING_TOLERANCE:
        raise IrregularStackError(
            f"{ordered[0].path}: ImagePositionPatient",
            expected=f"equal slice distances within {SPACING_TOLERANCE:.0%}",
            found=f"distances from {steps_mm.min():.4g} to {steps_mm.max():.4g} mm",
            remedy="export the series again, or set reading.irregular_slices to resample",
        )
    _require_every_slice(ordered, mean_mm)
    if variation > SPACING_TOLERANCE / 10:
        return mean_mm, (f"slice distances vary by {variation:.2%}; their mean is used",)
    return mean_mm, ()


def _require_every_slice(ordered: Sequence[SliceHeader], step_mm: float) -> None:
    """Refuse a stack with regularly missing slices, such as every other one."""
    stated_mm = ordered[0].stated_step_mm
    numbers = [one.instance_number for one in ordered]
    if not stated_mm or stated_mm < SAME_POSITION_MM or None in numbers:
        return
    times = round(step_mm / stated_mm)
    skipped = {abs(step) for step in np.diff(np.array(numbers, dtype=np.int64)).tolist()}
    if times > 1 and abs(step_mm / stated_mm - times) < SPACING_TOLERANCE and skipped == {times}:
        raise GeometryError(
            f"{ordered[0].path}: SpacingBetweenSlices",
            expected=f"slices {stated_mm:.4g} mm apart, with consecutive instance numbers",
            found=f"slices {step_mm:.4g} mm apart, with instance numbers in steps of {times}",
            remedy="export the missing slices",
        )


def _single_slice_step_mm(single: SliceHeader) -> tuple[float, tuple[str, ...]]:
    if single.thickness_mm is None:
        raise GeometryError(
            f"{single.path}: SliceThickness",
            expected="the thickness of the single slice in millimetres",
            found="no positive value",
            remedy="export the series again with this tag",
        )
    if single.contrast == RADIOGRAPH:
        return single.thickness_mm, ()
    return single.thickness_mm, ("a single slice; its thickness is taken from its header",)


def _require_no_tilt(
    ordered: Sequence[SliceHeader], positions_mm: NDArray[np.float64], normal: Vector
) -> None:
    offsets_mm = positions_mm - positions_mm[0]  # (slices, 3)
    sideways_mm = np.linalg.norm(offsets_mm - np.outer(offsets_mm @ normal, normal), axis=1)
    pixel_mm = min(ordered[0].row_spacing_mm, ordered[0].column_spacing_mm)
    worst = int(sideways_mm.argmax())
    if sideways_mm[worst] <= TILT_TOLERANCE_PIXELS * pixel_mm:
        return
    angle = np.degrees(np.arctan2(sideways_mm[worst], abs(float(offsets_mm[worst] @ normal))))
    raise IrregularStackError(
        f"{ordered[worst].path}: ImagePositionPatient",
        expected="slices stacked along their normal, without gantry tilt",
        found=f"a tilt of {angle:.3g} degrees, which shifts slices by {sideways_mm[worst]:.4g} mm",
        remedy="export the series without tilt, or set reading.irregular_slices to resample",
    )
