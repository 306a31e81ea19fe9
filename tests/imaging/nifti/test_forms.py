"""Two forms in a header: they agree, one is chosen, or the file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import write_volume
from slicewise.imaging.volume import Volume

TAKE_SFORM = ReadingSection(nifti_form="sform")
TAKE_QFORM = ReadingSection(nifti_form="qform")


def moved(affine: Any, row: int, distance_mm: float) -> Any:
    other = affine.copy()
    other[row, 3] += distance_mm
    return other


class TestDisagreement:
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM, TAKE_QFORM])
    def test_agreement_within_a_tenth_of_a_millimetre(
        self, scans: Any, tmp_path: Path, reading: ReadingSection
    ) -> None:
        # There is nothing to choose, so the sform is taken.
        image = scans.image()
        image.set_qform(moved(scans.affine, 0, 0.09), code=1)
        volume = read_nifti(scans.saved(image, tmp_path), reading)
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.warnings == ()

    @pytest.mark.fault(41, "Q")
    @pytest.mark.parametrize("row", [0, 1, 2])
    def test_refused(self, scans: Any, tmp_path: Path, row: int) -> None:
        image = scans.image()
        image.set_qform(moved(scans.affine, row, 0.12), code=1)
        path = scans.saved(image, tmp_path)
        with pytest.raises(GeometryError, match=r"agreement within 0\.1 mm") as caught:
            read_nifti(path)
        assert caught.value.where == f"{path}: sform and qform"
        assert "0.12 mm" in caught.value.found
        assert "reading.nifti_form" in caught.value.remedy

    @pytest.mark.fault(41, "Q")
    def test_a_flip_is_refused(self, scans: Any, tmp_path: Path) -> None:
        image = scans.image()
        image.set_qform(scans.affine @ np.diag([-1, 1, 1, 1]), code=1)
        with pytest.raises(GeometryError, match="sform and qform"):
            read_nifti(scans.saved(image, tmp_path))

    @pytest.mark.fault(41, "W")
    @pytest.mark.parametrize(("reading", "shift_mm"), [(TAKE_SFORM, 0), (TAKE_QFORM, 2.5)])
    def test_the_chosen_one_counts(
        self, scans: Any, tmp_path: Path, reading: ReadingSection, shift_mm: float
    ) -> None:
        image = scans.image()
        image.set_qform(moved(scans.affine, 1, 2.5), code=1)
        volume = read_nifti(scans.saved(image, tmp_path), reading)
        expected = moved(scans.affine, 1, shift_mm)
        np.testing.assert_allclose(volume.affine, expected, atol=1e-5)
        assert volume.warnings == (
            f"sform and qform are up to 2.5 mm apart, the {reading.nifti_form} was used",
        )


class TestOneForm:
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM, TAKE_QFORM])
    def test_the_qform_alone(self, scans: Any, plain: Path, reading: ReadingSection) -> None:
        volume = read_nifti(scans.patched(plain, sform_code=0, srow_x=np.nan), reading)
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.warnings == ()

    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM, TAKE_QFORM])
    def test_the_sform_alone(self, scans: Any, plain: Path, reading: ReadingSection) -> None:
        volume = read_nifti(scans.patched(plain, qform_code=0, quatern_b=5), reading)
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.warnings == ()

    @pytest.mark.fault(42, "W")
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM, TAKE_QFORM])
    def test_neither(self, scans: Any, plain: Path, reading: ReadingSection) -> None:
        volume = read_nifti(scans.patched(plain, sform_code=0, qform_code=0), reading)
        assert volume.warnings == ("no orientation in the header (sform and qform codes are 0)",)
        assert volume.spacing_mm == (0.75, 1.25, 3.5)
        assert volume.orientation == "LAS"  # as the NIfTI standard's first method says

    def test_neither_and_no_spacing(self, scans: Any, plain: Path) -> None:
        spacing = [1, 1, 0, 1, 1, 1, 1, 1]
        with pytest.raises(GeometryError, match="pixdim"):
            read_nifti(scans.patched(plain, sform_code=0, qform_code=0, pixdim=spacing))

    def test_negative_codes(self, scans: Any, plain: Path) -> None:
        with pytest.raises(GeometryError, match="sform_code -3, qform_code 1"):
            read_nifti(scans.patched(plain, sform_code=-3))

    @pytest.mark.parametrize("stored", [0, 0.5, 1])
    def test_a_qfac_that_is_not_negative_is_one(
        self, scans: Any, plain: Path, stored: float
    ) -> None:
        spacing = [stored, *scans.spacing_mm, 1, 1, 1, 1]
        volume = read_nifti(scans.patched(plain, sform_code=0, pixdim=spacing))
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)


class TestUnusableForms:
    @pytest.fixture(params=[0, np.nan, np.inf])
    def no_sform(self, scans: Any, plain: Path, request: pytest.FixtureRequest) -> Path:
        rows = dict.fromkeys(("srow_x", "srow_y", "srow_z"), request.param)
        path: Path = scans.patched(plain, **rows)
        return path

    @pytest.mark.fault(43, "Q")
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM])
    def test_an_unusable_sform(self, no_sform: Path, reading: ReadingSection) -> None:
        with pytest.raises(GeometryError) as caught:
            read_nifti(no_sform, reading)
        assert caught.value.where == f"{no_sform}: sform"
        assert caught.value.remedy.endswith("set reading.nifti_form to qform")

    @pytest.mark.fault(43, "W")
    def test_the_qform_may_be_taken_instead(self, scans: Any, no_sform: Path) -> None:
        volume = read_nifti(no_sform, TAKE_QFORM)
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.warnings == ("the sform is unusable, the qform was used",)

    @pytest.mark.fault(43, "Q")
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_SFORM, TAKE_QFORM])
    def test_nothing_else_to_take(
        self, scans: Any, no_sform: Path, reading: ReadingSection
    ) -> None:
        with pytest.raises(GeometryError) as caught:
            read_nifti(scans.patched(no_sform, qform_code=0), reading)
        assert "nifti_form" not in caught.value.remedy

    @pytest.mark.fault(43, "Q")
    def test_both_unusable(self, scans: Any, no_sform: Path) -> None:
        with pytest.raises(GeometryError) as caught:
            read_nifti(scans.patched(no_sform, quatern_b=5), TAKE_QFORM)
        assert caught.value.where == f"{no_sform}: qform"
        assert "nifti_form" not in caught.value.remedy

    @pytest.mark.parametrize("fields", [{"quatern_b": 5}, {"quatern_b": np.nan}])
    @pytest.mark.parametrize("reading", [ReadingSection(), TAKE_QFORM])
    def test_an_unusable_qform(
        self, scans: Any, plain: Path, fields: Any, reading: ReadingSection
    ) -> None:
        with pytest.raises(GeometryError) as caught:
            read_nifti(scans.patched(plain, **fields), reading)
        assert caught.value.where == f"{plain}: qform"
        assert caught.value.remedy.endswith("set reading.nifti_form to sform")

    def test_the_sform_may_be_taken_instead(self, scans: Any, plain: Path) -> None:
        volume = read_nifti(scans.patched(plain, quatern_b=5), TAKE_SFORM)
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.warnings == ("the qform is unusable, the sform was used",)


class TestQuaternions:
    @pytest.mark.parametrize("turn", [1e-4, 3e-4, 5e-4, 1e-3, 2e-3])
    def test_what_cannot_be_stored_is_no_disagreement(self, tmp_path: Path, turn: float) -> None:
        # Nearly half a turn about z, as scans with axes to LPS have.
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("z", np.pi - turn).as_matrix()
        path = tmp_path / "scan.nii.gz"
        write_volume(Volume(np.zeros((256, 240, 30), np.uint8), affine), path)
        header = nib.load(path).header
        assert (header["sform_code"], header["qform_code"]) == (1, 1)
        np.testing.assert_allclose(read_nifti(path).affine, affine, atol=1e-5)

    @pytest.mark.fault(41, "Q")
    def test_a_real_disagreement_is_still_seen(self, scans: Any, tmp_path: Path) -> None:
        affine = np.diag([-1.0, -1, 1, 1])
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_euler("z", np.pi - 0.02).as_matrix()
        image = nib.Nifti1Image(np.zeros((256, 240, 30), np.uint8), affine)
        image.set_sform(affine, code=1)
        image.set_qform(turned, code=1)
        with pytest.raises(GeometryError, match="sform and qform"):
            read_nifti(scans.saved(image, tmp_path))
