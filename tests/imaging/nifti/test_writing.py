"""Masks out: on the grid of their source, bit for bit, and nothing of it that is private."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, OutputError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.nifti.writing import (
    write_mask,
    write_probabilities,
)


class TestHeader:
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_is_the_source_s(self, scans: Any, tmp_path: Path, kind: Any) -> None:
        source = scans.source(tmp_path, kind)
        write_mask(scans.mask(source), source, tmp_path / "mask.nii.gz")
        ours, theirs = nib.load(tmp_path / "mask.nii.gz").header, source.header
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours.get_sform(), theirs.get_sform())
        np.testing.assert_array_equal(ours.get_qform(), theirs.get_qform())
        assert (ours["sform_code"], ours["qform_code"]) == (2, 1)
        assert ours.get_xyzt_units() == ("mm", "sec")
        assert ours.get_slope_inter() in ((1, 0), (None, None))
        np.testing.assert_array_equal(
            nib.load(tmp_path / "mask.nii.gz").dataobj, scans.mask(source).voxels
        )

    @pytest.mark.parametrize(
        "fields",
        [
            {},
            {"sform_code": 0},
            {"qform_code": 0, "quatern_b": np.nan},
            {"sform_code": 0, "srow_y": np.nan},
            {"sform_code": 0, "qform_code": 0},
            {"sform_code": 4, "qform_code": 3, "xyzt_units": 0},
            # nibabel's own images would mend these on the way out
            {"pixdim": [0, 0.75, 1.25, 3.5, 2.5, 7, 8, 9]},
            {"sform_code": 77, "qform_code": 99},
        ],
    )
    def test_forms_stay_bit_for_bit(self, scans: Any, plain: Path, fields: Any) -> None:
        source = read_nifti(scans.patched(plain, **fields))
        mask = plain.with_name("mask.nii")
        write_mask(scans.mask(source), source, mask)
        assert scans.forms_in(mask) == scans.forms_in(plain)
        np.testing.assert_array_equal(read_nifti(mask).affine, source.affine)
        assert read_nifti(mask).warnings == source.warnings

    @pytest.mark.fault(44, "W")
    def test_a_repaired_source_keeps_its_skewed_form(self, scans: Any, plain: Path) -> None:
        skewed = np.eye(4)
        skewed[0, 1] = 0.01
        source = read_nifti(scans.with_sform(plain, skewed, qform_code=0))
        assert source.affine[0, 1] == pytest.approx(0.005, abs=1e-6)
        mask = plain.with_name("mask.nii")
        write_mask(scans.mask(source), source, mask)
        assert scans.forms_in(mask) == scans.forms_in(plain)
        np.testing.assert_array_equal(read_nifti(mask).affine, source.affine)

    @pytest.mark.fault(41, "W")
    @pytest.mark.parametrize("choice", ["sform", "qform"])
    def test_forms_that_differ_stay_both(self, scans: Any, tmp_path: Path, choice: Any) -> None:
        image = scans.image()
        image.set_qform(scans.affine @ np.diag([-1, 1, 1, 1]), code=1)
        scan = scans.saved(image, tmp_path, "scan.nii")
        reading = ReadingSection(nifti_form=choice)
        source = read_nifti(scan, reading)
        write_mask(scans.mask(source), source, tmp_path / "mask.nii")
        assert scans.forms_in(tmp_path / "mask.nii") == scans.forms_in(scan)
        np.testing.assert_array_equal(
            read_nifti(tmp_path / "mask.nii", reading).affine, source.affine
        )

    @pytest.mark.fault(54, "S")
    def test_one_of_several_volumes(self, scans: Any, tmp_path: Path) -> None:
        image = scans.image(np.stack([scans.voxels()] * 3, axis=-1))
        image.header.set_zooms((*scans.spacing_mm, 2.5))
        scan = scans.saved(image, tmp_path, "scan.nii")
        source = read_nifti(scan, volume=1)
        write_mask(scans.mask(source), source, tmp_path / "mask.nii")
        assert scans.forms_in(tmp_path / "mask.nii") == scans.forms_in(scan)
        assert nib.load(tmp_path / "mask.nii").shape == scans.shape

    @pytest.mark.fault(45, "W")
    @pytest.mark.parametrize(("slope", "intercept"), [(7, 2), (0, 0), (np.nan, np.nan)])
    def test_slope_one_intercept_zero(
        self, scans: Any, plain: Path, slope: float, intercept: float
    ) -> None:
        source = read_nifti(scans.patched(plain, scl_slope=slope, scl_inter=intercept))
        mask = plain.with_name("mask.nii")
        write_mask(scans.mask(source), source, mask)
        header = nib.Nifti1Header(mask.read_bytes()[:348])
        assert (header["scl_slope"], header["scl_inter"]) == (1, 0)

    def test_big_endian_stays(self, scans: Any, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(np.int16)
        image = nib.Nifti1Image(scans.voxels(), scans.affine, header)
        scan = scans.saved(image, tmp_path, "scan.nii")
        source = read_nifti(scan)
        write_mask(scans.mask(source, 300), source, tmp_path / "mask.nii")
        assert scans.forms_in(tmp_path / "mask.nii") == scans.forms_in(scan)
        written = nib.load(tmp_path / "mask.nii")
        assert written.header.endianness == ">"
        np.testing.assert_array_equal(written.dataobj, scans.mask(source, 300).voxels)

    @pytest.mark.fault(95, "OK")
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_free_text_is_gone(self, scans: Any, tmp_path: Path, kind: Any) -> None:
        source = scans.source(tmp_path, kind)
        write_mask(scans.mask(source), source, tmp_path / "mask.nii")
        assert b"TOKEN" not in (tmp_path / "mask.nii").read_bytes()
        assert not nib.load(tmp_path / "mask.nii").header.extensions
        assert nib.load(tmp_path / "mask.nii").header["cal_max"] == 0
        # The volume that was read is left as it was.
        assert source.header is not None
        assert source.header["descrip"].item() == b"TOKEN one"
        assert source.header["scl_slope"] == 1

    def test_itk_finds_the_same_places(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        write_mask(scans.mask(source), source, tmp_path / "mask.nii.gz")
        image = SimpleITK.ReadImage(str(tmp_path / "mask.nii.gz"))
        for index in np.argwhere(scans.mask(source).voxels):
            assert image[index.tolist()] == 3
            lps = image.TransformIndexToPhysicalPoint(index.tolist())
            np.testing.assert_allclose(
                source.world_position_mm(index), lps * np.array([-1, -1, 1]), atol=1e-4
            )


class TestFiles:
    @pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
    def test_same_mask_same_bytes(
        self, scans: Any, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = scans.source(tmp_path)
        write_mask(scans.mask(source), source, tmp_path / "one" / name)
        monkeypatch.setattr("time.time", lambda: 1e9)
        write_mask(scans.mask(source), source, tmp_path / "two" / f"other_{name}")
        one = (tmp_path / "one" / name).read_bytes()
        assert one == (tmp_path / "two" / f"other_{name}").read_bytes()

    @pytest.mark.fault(73, "E")
    def test_a_failing_write_leaves_the_old_mask(
        self, scans: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = scans.source(tmp_path)
        path = tmp_path / "out" / "mask.nii.gz"
        write_mask(scans.mask(source), source, path)
        before = path.read_bytes()

        def full(self: Path, content: bytes) -> int:
            with self.open("wb") as file:
                file.write(content[:20])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            write_mask(scans.mask(source, 2), source, path)
        assert caught.value.where == str(path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_that_cannot_be_written(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError) as caught:
            write_mask(scans.mask(source), source, tmp_path / "file" / "mask.nii.gz")
        assert str(tmp_path / "file") in caught.value.where


class TestProbabilities:
    def test_stacked_along_the_fourth_axis(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        parts = [source.with_voxels(scans.voxels(np.float32) / n) for n in (1000, 2000)]
        write_probabilities(parts, source, tmp_path / "p.nii.gz")
        image = nib.load(tmp_path / "p.nii.gz")
        assert image.get_data_dtype() == np.float32
        assert image.shape == (*scans.shape, 2)
        np.testing.assert_array_equal(image.dataobj[..., 1], parts[1].voxels)
        np.testing.assert_allclose(image.affine, scans.affine, atol=1e-5)
        np.testing.assert_array_equal(
            read_nifti(tmp_path / "p.nii.gz", volume=0).voxels, parts[0].voxels
        )

    def test_another_grid(self, scans: Any, tmp_path: Path) -> None:
        source = scans.source(tmp_path)
        moved = replace(source, affine=source.affine + 0.01)
        with pytest.raises(GeometryError):
            write_probabilities([source, moved], source, tmp_path / "p.nii.gz")
