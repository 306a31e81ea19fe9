"""Any grid, with a header or without: each voxel is found again where it was."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import (
    write_mask,
    write_volume,
)
from slicewise.imaging.volume import Volume


class TestOtherGrids:
    @pytest.mark.parametrize("column", [0, 3])
    def test_another_place(self, scans: Any, tmp_path: Path, column: int) -> None:
        source = scans.source(tmp_path)
        affine = source.affine.copy()
        affine[0, column] += 0.01
        mask = replace(scans.mask(source), affine=affine)
        with pytest.raises(GeometryError):
            write_mask(mask, source, tmp_path / "mask.nii.gz")
        assert not (tmp_path / "mask.nii.gz").exists()

    def test_another_shape(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        mask = Volume(np.zeros((7, 6, 8), np.uint8), source.affine)
        with pytest.raises(GeometryError, match=r"\(7, 6, 8\)"):
            write_mask(mask, source, tmp_path / "mask.nii.gz")

    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_a_volume_that_left_its_header_gets_new_forms(
        self, scans: Any, tmp_path: Path, kind: Any
    ) -> None:
        source = scans.source(tmp_path, kind)
        turned = source.reoriented("RAS")
        assert turned.shape != source.shape or not np.allclose(turned.affine, source.affine)
        write_volume(turned, tmp_path / "turned.nii.gz")
        written = nib.load(tmp_path / "turned.nii.gz")
        assert type(written) is kind
        np.testing.assert_allclose(written.get_sform(), turned.affine, atol=1e-5)
        np.testing.assert_allclose(written.get_qform(), turned.affine, atol=1e-4)
        np.testing.assert_array_equal(written.dataobj, turned.voxels)

    def test_a_volume_without_a_header(self, scans: Any, tmp_path: Path) -> None:
        source = Volume(scans.voxels(), scans.affine, "series")  # as from DICOM
        write_mask(scans.mask(source), source, tmp_path / "mask.nii.gz")
        header = nib.load(tmp_path / "mask.nii.gz").header
        np.testing.assert_allclose(header.get_sform(), scans.affine, atol=1e-5)
        np.testing.assert_allclose(header.get_qform(), scans.affine, atol=1e-5)
        assert (header["sform_code"], header["qform_code"]) == (1, 1)
        assert header.get_xyzt_units()[0] == "mm"

    def test_a_shear_has_no_qform(self, scans: Any, tmp_path: Path) -> None:
        sheared = scans.affine @ np.array(
            [[1, 0, 0.2, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        write_volume(Volume(scans.voxels(), sheared), tmp_path / "scan.nii.gz")
        header = nib.load(tmp_path / "scan.nii.gz").header
        assert (header["sform_code"], header["qform_code"]) == (1, 0)
        np.testing.assert_allclose(read_nifti(tmp_path / "scan.nii.gz").affine, sheared, atol=1e-5)

    def test_far_from_the_origin(self, scans: Any, tmp_path: Path) -> None:
        # float32 places nothing to better than 8 micrometres here.
        affine = scans.affine
        affine[:3, 3] += 123_456.789
        write_volume(Volume(scans.voxels(), affine), tmp_path / "scan.nii.gz")
        np.testing.assert_allclose(read_nifti(tmp_path / "scan.nii.gz").affine, affine, atol=0.01)


angles = st.floats(-180, 180)


@st.composite
def affines(draw: st.DrawFn) -> NDArray[np.float64]:
    """Any turn, spacing and place, mirrored or not."""
    turns = [draw(angles) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", turns, degrees=True).as_matrix()
    affine[:3, :3] *= [draw(st.floats(0.4, 5)) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-250, 250)) for _ in range(3)]
    return affine @ np.diag([draw(st.sampled_from([-1, 1])), 1, 1, 1])


@settings(max_examples=60, deadline=None)
@given(affine=affines(), with_header=st.booleans())
def test_round_trip_keeps_every_position(
    scans: Any, affine: NDArray[np.float64], with_header: bool
) -> None:
    source = Volume(scans.voxels(), affine)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if with_header:
            write_volume(source, folder / "source.nii")
            source = read_nifti(folder / "source.nii")
        write_mask(source.with_voxels(scans.voxels()), source, folder / "mask.nii")
        back = read_nifti(folder / "mask.nii")
    np.testing.assert_array_equal(back.voxels, scans.voxels())
    places = np.argwhere(np.ones(scans.shape, dtype=bool))
    expected = places @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(back.world_position_mm(places), expected, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    affine=affines(),
    skew=st.floats(-0.3, 0.3),
    codes=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    endianness=st.sampled_from("<>"),
    choice=st.sampled_from(["sform", "qform"]),
)
def test_forms_survive_any_reading_and_writing(
    scans: Any,
    affine: NDArray[np.float64],
    skew: float,
    codes: tuple[int, int],
    endianness: str,
    choice: Any,
) -> None:
    header = nib.Nifti1Header(endianness=endianness)
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(scans.voxels(), None, header)
    image.set_qform(affine, code=codes[0])
    affine[:3, 1] += skew * affine[:3, 0]
    image.set_sform(affine, code=codes[1])
    reading = ReadingSection(nifti_form=choice)
    with tempfile.TemporaryDirectory() as name:
        scan = scans.saved(image, Path(name), "scan.nii")
        source = read_nifti(scan, reading)
        mask = Path(name) / "mask.nii"
        write_mask(scans.mask(source), source, mask)
        assert scans.forms_in(mask) == scans.forms_in(scan)
        np.testing.assert_array_equal(read_nifti(mask, reading).affine, source.affine)
