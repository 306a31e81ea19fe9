"""Skewed axes: straightened where nobody could tell, left and named where one could."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.skew import (
    MAXIMUM_REPAIR_MM,
    ROUNDING_RADIANS,
    corners_apart_mm,
    nearest_perpendicular,
    straightened,
)

SHAPE = (7, 6, 9)


def leaning(radians: float) -> NDArray[np.float64]:
    """Axes along x and z, and one that leans from y towards x; 1 mm each."""
    affine = np.eye(4)
    affine[:2, 1] = np.sin(radians), np.cos(radians)
    return affine


def test_the_nearest_perpendicular_axes_share_the_turn() -> None:
    # Two axes 92 degrees apart: each turns by one degree.
    repaired = nearest_perpendicular(leaning(np.radians(-2)), SHAPE)
    expected = Rotation.from_euler("z", 1, degrees=True).as_matrix()
    np.testing.assert_allclose(repaired[:3, :3], expected, atol=1e-12)
    centre = [3, 2.5, 4, 1]
    np.testing.assert_allclose(repaired @ centre, leaning(np.radians(-2)) @ centre, atol=1e-12)


def test_distance_of_the_outer_corners() -> None:
    other = np.diag([1, 1.1, 1, 1])
    # The second axis ends at 5.5 voxels, where a tenth more is 0.55 mm.
    assert corners_apart_mm(np.eye(4), other, SHAPE) == pytest.approx(0.55)


class TestReading:
    @pytest.mark.fault(44, "W")
    def test_a_slight_skew_is_repaired(self, scans: Any, plain: Path) -> None:
        path = scans.with_sform(plain, leaning(0.01), qform_code=0)
        volume = read_nifti(path)
        axes = volume.affine[:3, :3]
        np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
        # Half of the skew at half of the longest way, sqrt(7^2 + 6^2) / 2 voxels.
        assert corners_apart_mm(volume.affine, leaning(0.01), SHAPE) == pytest.approx(
            0.023, abs=0.001
        )
        assert volume.warnings == (
            "axes are skewed by 0.57 degrees; straightened, "
            "which moves no voxel by more than 0.023 mm",
        )

    @pytest.mark.fault(44, "W")
    def test_the_header_keeps_its_forms(self, scans: Any, plain: Path) -> None:
        volume = read_nifti(scans.with_sform(plain, leaning(0.01), qform_code=0))
        assert volume.header is not None
        np.testing.assert_array_equal(volume.header.get_sform(), leaning(0.01).astype(np.float32))

    def test_a_larger_skew_stays(self, scans: Any, plain: Path) -> None:
        volume = read_nifti(scans.with_sform(plain, leaning(np.radians(5)), qform_code=0))
        np.testing.assert_allclose(volume.affine, leaning(np.radians(5)), atol=1e-6)
        assert volume.warnings == ("axes are skewed by 5 degrees; left unchanged",)

    def test_rounding_is_no_skew(self, scans: Any, plain: Path) -> None:
        # Six digits, as DICOM headers have them.
        affine = scans.affine
        affine[:3, :3] = np.round(affine[:3, :3] / scans.spacing_mm, 6) * scans.spacing_mm
        volume = read_nifti(scans.with_sform(plain, affine, qform_code=0))
        np.testing.assert_array_equal(volume.affine, affine.astype(np.float32))
        assert volume.warnings == ()

    @pytest.mark.parametrize(("radians", "refused"), [(0.9e-4, False), (1.1e-4, True)])
    def test_what_is_repaired_is_what_itk_refuses(
        self, scans: Any, plain: Path, radians: float, refused: bool
    ) -> None:
        path = scans.with_sform(plain, leaning(radians), qform_code=0)
        assert bool(read_nifti(path).warnings) is refused
        if refused:
            with pytest.raises(RuntimeError, match="orthonormal"):
                SimpleITK.ReadImage(str(path))
        else:
            assert SimpleITK.ReadImage(str(path)).GetSize() == SHAPE


angles = st.floats(-180, 180)


@settings(max_examples=80, deadline=None)
@given(
    turns=st.tuples(angles, angles, angles),
    spacing_mm=st.tuples(*[st.floats(0.4, 5)] * 3),
    lean=st.tuples(*[st.floats(-0.02, 0.02)] * 3),
    mirrored=st.booleans(),
)
def test_no_corner_moves_by_more_than_a_tenth_of_a_millimetre(
    scans: Any,
    turns: tuple[float, ...],
    spacing_mm: tuple[float, ...],
    lean: tuple[float, ...],
    mirrored: bool,
) -> None:
    skew = np.eye(3)
    skew[np.triu_indices(3, k=1)] = lean
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", turns, degrees=True).as_matrix() @ skew
    affine[:3, :3] *= [-1 if mirrored else 1, 1, 1]
    affine[:3, :3] *= spacing_mm
    affine = affine.astype(np.float32).astype(np.float64)
    with tempfile.TemporaryDirectory() as name:
        path = scans.saved(scans.image(), Path(name), "scan.nii")
        volume = read_nifti(scans.with_sform(path, affine, qform_code=0))
    assert corners_apart_mm(volume.affine, affine, SHAPE) <= MAXIMUM_REPAIR_MM
    np.testing.assert_allclose(
        volume.spacing_mm, np.linalg.norm(affine[:3, :3], axis=0), rtol=1e-12
    )
    assert np.linalg.det(volume.affine) * np.linalg.det(affine) > 0
    axes = volume.affine[:3, :3] / volume.spacing_mm
    perpendicular = np.allclose(axes.T @ axes, np.eye(3), atol=ROUNDING_RADIANS)
    assert perpendicular or volume.warnings[0].endswith("left unchanged")
    # A second look finds nothing more to repair.
    again, warnings = straightened(volume.affine, SHAPE)
    np.testing.assert_array_equal(again, volume.affine)
    assert not warnings or not perpendicular
