"""Slices of any orientation, spacing and order lie where the equation of the standard says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise.config import ReadingSection
from slicewise.imaging.dicom.grid import regular_grid
from slicewise.imaging.dicom.slice_header import SliceHeader


@pytest.mark.fault(26, "OK")
@given(
    angles=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    spacing_mm=st.tuples(*[st.floats(0.3, 8)] * 3),
    order=st.permutations(range(6)),
)
@settings(deadline=None, max_examples=60)
def test_grid_of_any_orientation(
    angles: tuple[float, float, float], spacing_mm: tuple[float, float, float], order: list[int]
) -> None:
    axes = _rotation(angles)
    headers = [_header(axes, spacing_mm, number) for number in range(6)]
    grid = regular_grid([headers[number] for number in order], ReadingSection())
    assert grid.slices == tuple(headers)
    lps_mm = axes @ (np.array([3, 5, 2]) * spacing_mm) + [7, -8, 9]
    ras_mm = lps_mm * [-1, -1, 1]
    np.testing.assert_allclose((grid.affine @ [3, 5, 2, 1])[:3], ras_mm, atol=1e-4)


def _rotation(angles: tuple[float, float, float]) -> np.ndarray:
    axes = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = [other for other in range(3) if other != axis]
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        axes = axes @ turn
    return axes


def _header(axes: np.ndarray, spacing_mm: tuple[float, float, float], number: int) -> SliceHeader:
    column_spacing_mm, row_spacing_mm, slice_spacing_mm = spacing_mm
    position_mm = np.array([7, -8, 9]) + number * slice_spacing_mm * axes[:, 2]
    return SliceHeader(
        path=Path(f"{number}.dcm"),
        frame=0,
        tiles=0,
        patient_id="",
        study_uid="1",
        series_uid="1.2",
        instance_uid="1.3",
        series_number=1,
        instance_number=None,
        contrast="",
        kind=(1.0, "", "", "", ""),
        moments=(),
        trigger_time_ms=None,
        position_mm=tuple(position_mm),
        orientation=(*axes[:, 0], *axes[:, 1]),
        row_spacing_mm=row_spacing_mm,
        column_spacing_mm=column_spacing_mm,
        thickness_mm=None,
        stated_step_mm=None,
        frame_of_reference="",
        rows=6,
        columns=4,
        voxel_type="int16",
        rescale=(1.0, 0.0),
        notes=(),
    )
