"""Uneven and tilted stacks, on request: every grey value lies where the world says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset

from slicewise.imaging.dicom.resampling import Resampling, resampled
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

GRADIENT = np.array([37.0, -61.0, 83.0])
"""Grey values a millimetre along the axes of the world, LPS; large, so that rounding is small."""


def ramp(lps_mm: np.ndarray) -> np.ndarray:
    return (lps_mm - [-41.5, 17.25, 8.0]) @ GRADIENT


def ramp_series(phantom: Any, offsets_mm: list[tuple[float, float, float]]) -> list[FileDataset]:
    """Slices of a linear ramp, each moved along row, column and normal."""
    datasets = phantom.datasets()
    column, row = np.meshgrid(np.arange(phantom.columns), np.arange(phantom.rows))
    for number, (dataset, offset_mm) in enumerate(zip(datasets, offsets_mm, strict=True)):
        position_mm = phantom.origin_mm + phantom.axes @ (
            np.array([0, 0, number * phantom.slice_spacing_mm]) + offset_mm
        )
        dataset.ImagePositionPatient = [f"{value:.10f}"[:16] for value in position_mm]
        lps_mm = (
            position_mm
            + column[..., None] * phantom.column_spacing_mm * phantom.axes[:, 0]
            + row[..., None] * phantom.row_spacing_mm * phantom.axes[:, 1]
        )  # (rows, columns, 3)
        dataset.PixelData = np.rint(ramp(lps_mm)).astype(np.int16).tobytes()
    return datasets


def ramp_error(volume: Volume) -> np.ndarray:
    """Difference of each voxel to the ramp at its own place, as a part of the ramp's range."""
    index = np.moveaxis(np.indices(volume.shape), 0, -1)
    expected = ramp(volume.world_position_mm(index) * [-1, -1, 1])
    apart: np.ndarray = np.abs(volume.voxels - expected) / np.ptp(expected)
    return apart


def test_ramp_of_an_even_stack_is_where_it_should_be(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    volume = read(write_dicom(ramp_series(phantom, [(0, 0, 0)] * 5)), irregular_slices="resample")
    # An even stack is left as it is, whatever was asked for.
    assert volume.voxels.dtype == np.int16
    assert volume.warnings == ()
    assert ramp_error(volume).max() < 1e-3


@pytest.mark.fault(7, "W")
@pytest.mark.parametrize("moved_mm", [0.3, -0.8, 1.0])
def test_uneven_distances(moved_mm: float, phantom: Any, write_dicom: Write, read: Call) -> None:
    offsets_mm = [(0, 0, 0), (0, 0, 0), (0, 0, moved_mm), (0, 0, 0), (0, 0, 0)]
    volume = read(write_dicom(ramp_series(phantom, offsets_mm)), irregular_slices="resample")
    assert volume.voxels.dtype == np.float32
    assert ramp_error(volume).max() < 1e-3
    np.testing.assert_allclose(volume.affine[:3, 3], phantom.affine[:3, 3], atol=1e-6)
    (text,) = volume.warnings
    assert text.startswith("resampled to a regular grid of ")
    assert "because of distances from " in text


@pytest.mark.fault(9, "W")
@pytest.mark.parametrize("degrees", [5, -12, 20])
@pytest.mark.parametrize("axis", [0, 1])
def test_tilted_stack(
    degrees: float, axis: int, phantom: Any, write_dicom: Write, read: Call
) -> None:
    large = replace(phantom, columns=23, rows=17, series_uid="1.2.3")
    shift_mm = 3.5 * np.tan(np.radians(degrees))
    offsets_mm = [tuple(number * shift_mm * np.eye(3)[axis]) for number in range(5)]
    volume = read(write_dicom(ramp_series(large, offsets_mm)), irregular_slices="resample")
    assert volume.shape == (23, 17, 5)
    np.testing.assert_allclose(volume.affine, large.affine, atol=1e-6)
    # What a tilted slice does not reach has no ramp.
    shift = np.arange(5) * shift_mm / (0.75, 1.25)[axis]
    place = np.indices(volume.shape)[axis] - shift
    inside = (place > -1e-6) & (place < volume.shape[axis] - 1 + 1e-6)
    assert inside.mean() > 0.6
    assert ramp_error(volume)[inside].max() < 1e-3
    assert np.unique(volume.voxels[~inside]).size == 1
    assert "because of a tilt of" in volume.warnings[0]


@pytest.mark.fault(7, "W")
@pytest.mark.fault(9, "W")
def test_uneven_and_tilted(phantom: Any, write_dicom: Write, read: Call) -> None:
    offsets_mm = [(0, 0, 0), (0.5, -0.5, 0.2), (1, -1, -0.4), (1.5, -1.5, 0.4), (2, -2, 0)]
    volume = read(write_dicom(ramp_series(phantom, offsets_mm)), irregular_slices="resample")
    # Sideways by up to 2.7 columns and -1.6 rows.
    assert ramp_error(volume)[3:-1, 1:-3].max() < 1e-3


def test_grid_does_not_reach_beyond_the_last_slice(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    offsets_mm = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, -0.5)]
    volume = read(write_dicom(ramp_series(phantom, offsets_mm)), irregular_slices="resample")
    assert volume.shape == (11, 7, 4)
    assert ramp_error(volume).max() < 1e-3


@given(
    steps=st.lists(st.floats(0.7, 1.3), min_size=2, max_size=9),
    shifts=st.lists(st.floats(-2, 2), min_size=10, max_size=10),
)
@settings(deadline=None, max_examples=50)
def test_ramps_come_back_exactly(steps: list[float], shifts: list[float]) -> None:
    along = np.concatenate([[0], np.cumsum(steps)])
    columns = np.array([0, *shifts])[: len(along)]
    places = Resampling(tuple(along), tuple(columns), (0.0,) * len(along))
    index = np.arange(12)[:, None, None] + columns  # where each measured column lies on the grid
    rows = np.arange(3)[:, None]
    measured = (5 * index - 2 * rows + 7 * along).astype(np.float32)  # (columns, rows, slices)
    upright = resampled(measured, places)
    assert upright.shape == (12, 3, int(along[-1] + 1e-6) + 1)
    column, row, number = np.indices(upright.shape)
    expected = 5.0 * column - 2.0 * row + 7.0 * number
    np.testing.assert_allclose(upright[2:-2], expected[2:-2], atol=2e-4)
