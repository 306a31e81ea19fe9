"""Contrasts of a case: on one grid, in their order, with what was done to them said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from slicewise.config import ReadingSection
from slicewise.dataset.contrasts import on_one_grid, read_contrasts
from slicewise.errors import GeometryError
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume

Write = Callable[..., Path]
NAMES = ("T1", "T2", "PD")
RESAMPLE = ReadingSection(different_grids="resample")


def test_contrasts_of_one_grid_are_left_alone(scan: Any) -> None:
    volumes = [scan.volume, scan.volume]
    assert all(
        a is b for a, b in zip(on_one_grid(volumes, NAMES[:2], RESAMPLE), volumes, strict=True)
    )


def test_warnings_name_their_contrast(scan: Any, write: Write, tmp_path: Path) -> None:
    broken = scan.voxels.astype(np.float32)
    broken[1, 2, 3] = np.nan
    paths = [
        write(tmp_path / "1.nii.gz", scan.voxels, scan.affine),
        write(tmp_path / "2.nii.gz", broken, scan.affine),
    ]
    reading = ReadingSection(non_finite="zero")
    _, second, third = read_contrasts([*paths, None], NAMES, reading)
    (text,) = second.warnings
    assert text.startswith("T2: 1 ")
    assert third.warnings == ("PD is missing and replaced by zeros",)
    assert third.grid_difference_voxels(second) == 0
    assert not third.voxels.any()
    # A single contrast needs no name.
    (alone,) = read_contrasts([paths[1]], ("T2",), reading)
    assert f"T2: {alone.warnings[0]}" == text


def test_what_resampling_says_follows_what_reading_said(scan: Any) -> None:
    shifted = scan.affine.copy()
    shifted[:3, 3] += 2.0 * scan.affine[:3, 2]
    other = Volume(scan.voxels, shifted, "other", warnings=("T2: repaired",))
    _, resampled = on_one_grid([scan.volume, other], NAMES[:2], RESAMPLE)
    assert resampled.warnings == (
        "T2: repaired",
        "T2 was resampled from 0.9 x 1.3 x 3.5 mm onto 0.9 x 1.3 x 3.5 mm",
        # Two of six slices.
        "T2 does not cover 33.3 % of the grid, which is filled with 0",
    )
    np.testing.assert_allclose(resampled.voxels[:, :, 2:], scan.voxels[:, :, :-2], atol=1e-3)
    assert not resampled.voxels[:, :, :2].any()
    with pytest.raises(GeometryError, match="corners") as caught:
        on_one_grid([scan.volume, other], NAMES[:2], ReadingSection())
    assert "to interpolate T2 linearly onto this grid" in caught.value.remedy


@pytest.mark.data
@pytest.mark.parametrize("patient", ["patient07", "patient19"])
def test_contrasts_of_one_patient_lie_on_one_grid(test_data: Path, patient: str) -> None:
    names = ("FLAIR", "T1", "T2")
    paths = [test_data / "open_ms" / patient / f"{name}.nii.gz" for name in names]
    volumes = read_contrasts(paths, names, ReadingSection())
    assert {volume.shape for volume in volumes} == {(182, 218, 182)}
    assert [volume.warnings for volume in volumes] == [()] * 3


@pytest.mark.data
def test_an_oblique_series_comes_onto_the_grid_of_a_crop(test_data: Path) -> None:
    crop, series = (
        next((test_data / "dicom" / "Study1").glob(pattern)) for pattern in ("*Crop*", "*T1post*")
    )
    with pytest.raises(GeometryError):
        read_contrasts([crop, series], NAMES[:2], ReadingSection())
    first, resampled = read_contrasts([crop, series], NAMES[:2], RESAMPLE)
    assert resampled.shape == first.shape
    assert resampled.warnings == ("T2 was resampled from 0.43 x 0.43 x 6.5 mm onto 1 x 1 x 1 mm",)
    thick = read_scan(series)
    to_series = np.linalg.inv(thick.affine) @ first.affine
    indices = np.tensordot(to_series[:3, :3], np.indices(first.shape), 1)
    indices += to_series[:3, 3, None, None, None]
    expected = map_coordinates(thick.voxels.astype(np.float32), indices, order=1)
    np.testing.assert_allclose(resampled.voxels, expected, atol=0.05)
