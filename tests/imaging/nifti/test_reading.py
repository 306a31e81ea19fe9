"""NIfTI in: values exactly as the file means them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from slicewise.config import ReadingSection
from slicewise.imaging.nifti.reading import is_nifti, read_nifti, stem


@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "Kopf 1 ä.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_values_and_places(scans: Any, tmp_path: Path, name: str, kind: Any) -> None:
    volume = read_nifti(scans.saved(scans.image(kind=kind), tmp_path, name))
    np.testing.assert_array_equal(volume.voxels, scans.voxels())
    assert volume.voxels.dtype == np.int16
    np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
    assert volume.name == stem(Path(name))
    assert volume.warnings == ()


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int32, np.uint64, np.float32, np.float64])
def test_stored_types_stay(scans: Any, tmp_path: Path, kind: Any) -> None:
    image = nib.Nifti1Image(scans.voxels(kind), scans.affine, dtype=kind)
    volume = read_nifti(scans.saved(image, tmp_path))
    assert volume.voxels.dtype == kind
    np.testing.assert_array_equal(volume.voxels, scans.voxels(kind))


@pytest.mark.fault(46, "OK")
def test_labels_of_64_bits(scans: Any, tmp_path: Path) -> None:
    labels = scans.voxels(np.int64) + 2**40
    path = scans.saved(nib.Nifti1Image(labels, scans.affine, dtype=np.int64), tmp_path)
    np.testing.assert_array_equal(read_nifti(path).voxels, labels)
    assert read_nifti(path).warnings == ()


def test_big_endian(scans: Any, tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    image = nib.Nifti1Image(scans.voxels(), scans.affine, header)
    volume = read_nifti(scans.saved(image, tmp_path))
    np.testing.assert_array_equal(volume.voxels, scans.voxels())
    assert volume.voxels.dtype.isnative
    np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)


def test_agrees_with_nibabel(scans: Any, tmp_path: Path) -> None:
    path = scans.saved(scans.image(scans.voxels(np.float64) / 7), tmp_path)
    np.testing.assert_array_equal(read_nifti(path).voxels, nib.load(path).get_fdata())


def test_a_long_extension_is_no_damage(scans: Any, tmp_path: Path) -> None:
    image = scans.image()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
    np.testing.assert_array_equal(read_nifti(scans.saved(image, tmp_path)).voxels, scans.voxels())


class TestScaling:
    def test_scaled_voxels_are_float32(self, scans: Any, plain: Path) -> None:
        volume = read_nifti(scans.patched(plain, scl_slope=0.5, scl_inter=-3))
        assert volume.voxels.dtype == np.float32
        np.testing.assert_array_equal(volume.voxels, scans.voxels() * 0.5 - 3)
        assert volume.warnings == ()

    @pytest.mark.fault(45, "W")
    @pytest.mark.parametrize(
        ("slope", "intercept", "text"),
        [
            (0, 5, "scaling 0 * x + 5"),  # the standard: not scaled
            (0, 0, "scaling 0 * x + 0"),
            (np.nan, np.nan, "scaling nan * x + nan"),
            (np.nan, 0, "scaling nan * x + 0"),
            (2, np.nan, "scaling 2 * x + nan"),
            (np.inf, 0, "scaling inf * x + 0"),
            (-np.inf, 0, "scaling -inf * x + 0"),
        ],
    )
    def test_unusable_scaling_is_left_out(
        self, scans: Any, plain: Path, slope: float, intercept: float, text: str
    ) -> None:
        volume = read_nifti(scans.patched(plain, scl_slope=slope, scl_inter=intercept))
        np.testing.assert_array_equal(volume.voxels, scans.voxels())
        assert volume.voxels.dtype == np.int16
        assert volume.warnings == (f"{text} in the header was ignored",)

    @pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
    def test_what_common_programs_write_is_not_warned_of(
        self, scans: Any, tmp_path: Path, kind: Any
    ) -> None:
        ours = scans.saved(nib.Nifti1Image(scans.voxels(kind), scans.affine), tmp_path)
        # A file that nibabel has read shows a slope of NaN; what it writes then has none.
        again = scans.saved(nib.load(ours), tmp_path, "again.nii.gz")
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(ours)), str(tmp_path / "itk.nii.gz"))
        for path in (ours, again, tmp_path / "itk.nii.gz"):
            volume = read_nifti(path)
            np.testing.assert_array_equal(volume.voxels, scans.voxels(kind))
            assert volume.warnings == ()


class TestNonFiniteVoxels:
    @pytest.fixture
    def path(self, scans: Any, tmp_path: Path) -> Path:
        values = scans.voxels(np.float32)
        values[1, 2, 3], values[2, 2, 3], values[6, 5, 8] = np.nan, np.inf, -np.inf
        return scans.saved(scans.image(values), tmp_path)

    @pytest.mark.fault(39, "W")
    def test_filled_on_request(self, scans: Any, path: Path) -> None:
        volume = read_nifti(path, ReadingSection(non_finite="zero"))
        expected = scans.voxels(np.float32)
        expected[1, 2, 3] = expected[2, 2, 3] = expected[6, 5, 8] = 0
        np.testing.assert_array_equal(volume.voxels, expected)
        assert volume.voxels.dtype == np.float32
        assert volume.warnings == ("3 NaN or infinite voxels were replaced by 0",)

    def test_otherwise_left_for_those_who_use_them(self, path: Path) -> None:
        volume = read_nifti(path)
        assert np.count_nonzero(~np.isfinite(volume.voxels)) == 3
        assert volume.warnings == ()

    @pytest.mark.parametrize("kind", [np.int16, np.float32])
    def test_nothing_to_fill(self, scans: Any, tmp_path: Path, kind: Any) -> None:
        path = scans.saved(scans.image(scans.voxels(kind)), tmp_path)
        assert read_nifti(path, ReadingSection(non_finite="zero")).warnings == ()

    @pytest.mark.fault(39, "W")
    def test_scaling_may_leave_the_range_of_numbers(self, scans: Any, plain: Path) -> None:
        path = scans.patched(plain, scl_slope=1e38, scl_inter=0)
        volume = read_nifti(path, ReadingSection(non_finite="zero"))
        # float32 ends at 3.4e38, so only the voxels 0 to 3 have a value.
        assert volume.warnings == ("374 NaN or infinite voxels were replaced by 0",)
        np.testing.assert_allclose(volume.voxels.max(), 3e38, rtol=1e-6)


@pytest.mark.data
def test_real_scans_are_read_without_a_word(test_data: Path) -> None:
    files = [
        *sorted((test_data / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[:10],
        *sorted((test_data / "Task04_Hippocampus" / "labelsTr").glob("*.nii.gz"))[:10],
        *sorted((test_data / "dicom2nifti" / "anatomical").rglob("*ground_truth.nii.gz")),
        *sorted((test_data / "open_ms" / "patient07").glob("*.nii.gz"))[:2],
    ]
    assert len(files) > 20
    for path in files:
        assert read_nifti(path).warnings == (), path


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.nii", "a"), ("a.b.nii.gz", "a.b"), ("a.nii.nii.gz", "a.nii"), ("a.txt", "a.txt")],
)
def test_stem(name: str, expected: str) -> None:
    assert stem(Path("folder.nii") / name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.nii", True), ("a.nii.gz", True), ("._a.nii.gz", False), ("a.gz", False), ("a", False)],
)
def test_is_nifti(name: str, expected: bool) -> None:
    assert is_nifti(Path(name)) is expected
