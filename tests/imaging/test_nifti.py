"""NIfTI in: exact or refused. Masks out: on the grid of their source, to the last byte."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
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

from pipeline.errors import GeometryError, OutputError, ScanError, SlicewiseError
from pipeline.imaging.nifti.reading import is_nifti, read_nifti, stem
from pipeline.imaging.nifti.writing import write_mask, write_probabilities, write_volume
from pipeline.imaging.volume import Volume

SHAPE = (7, 6, 9)
Form = NDArray[np.float64]


def oblique() -> Form:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", [160, -20, 35], degrees=True).as_matrix()
    affine[:3, :3] *= [0.75, 1.25, 3.5]
    affine[:3, 3] = [-41.5, 17.25, 8]
    return affine


def voxels(kind: Any = np.int16) -> NDArray[Any]:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(kind)


def an_image(values: NDArray[Any] | None = None, kind: Any = nib.Nifti1Image) -> Any:
    image = kind(voxels() if values is None else values, oblique())
    image.set_sform(oblique(), code=2)
    image.set_qform(oblique(), code=1)
    image.header.set_xyzt_units("mm", "sec")
    return image


def saved(image: Any, folder: Path, name: str = "scan.nii.gz") -> Path:
    image.to_filename(folder / name)
    return folder / name


def patched(path: Path, **fields: Any) -> Path:
    """Write header fields as they are, right or wrong, into an uncompressed file."""
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + content[348:])
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return saved(an_image(), tmp_path, "scan.nii")


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    return saved(an_image(), tmp_path, "scan.nii.gz")


class TestReading:
    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz", "Kopf 1 ä.nii.gz"])
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_values_and_places(self, tmp_path: Path, name: str, kind: Any) -> None:
        volume = read_nifti(saved(an_image(kind=kind), tmp_path, name))
        np.testing.assert_array_equal(volume.voxels, voxels())
        assert volume.voxels.dtype == np.int16
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)
        assert volume.name == stem(Path(name))
        assert volume.warnings == ()

    @pytest.mark.parametrize(
        "kind", [np.uint8, np.int8, np.int32, np.int64, np.uint64, np.float32, np.float64]
    )
    def test_stored_types_stay(self, tmp_path: Path, kind: Any) -> None:
        image = nib.Nifti1Image(voxels(kind), oblique(), dtype=kind)
        volume = read_nifti(saved(image, tmp_path))
        assert volume.voxels.dtype == kind
        np.testing.assert_array_equal(volume.voxels, voxels(kind))

    def test_big_endian(self, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(np.int16)
        image = nib.Nifti1Image(voxels(), oblique(), header)
        volume = read_nifti(saved(image, tmp_path))
        np.testing.assert_array_equal(volume.voxels, voxels())
        assert volume.voxels.dtype.isnative
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)

    def test_scaled_voxels_are_float32(self, plain: Path) -> None:
        volume = read_nifti(patched(plain, scl_slope=0.5, scl_inter=-3))
        assert volume.voxels.dtype == np.float32
        np.testing.assert_array_equal(volume.voxels, voxels() * 0.5 - 3)
        assert volume.warnings == ()

    def test_agrees_with_nibabel(self, tmp_path: Path) -> None:
        path = saved(an_image(voxels(np.float64) / 7), tmp_path)
        np.testing.assert_array_equal(read_nifti(path).voxels, nib.load(path).get_fdata())

    def test_a_long_extension_is_no_damage(self, tmp_path: Path) -> None:
        image = an_image()
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
        np.testing.assert_array_equal(read_nifti(saved(image, tmp_path)).voxels, voxels())

    def test_a_slice_is_a_flat_volume(self, tmp_path: Path) -> None:
        path = saved(nib.Nifti1Image(np.ones((4, 5), np.int16), oblique()), tmp_path)
        assert read_nifti(path).shape == (4, 5, 1)


class TestScaling:
    @pytest.mark.parametrize(
        ("slope", "intercept", "warned"),
        [
            (0, 5, False),  # the standard: not scaled
            (1, 0, False),
            (np.nan, np.nan, False),
            (np.nan, 0, True),
            (2, np.nan, True),
            (np.inf, 0, True),
            (-np.inf, 0, True),
        ],
    )
    def test_unusable_scaling_is_left_out(
        self, plain: Path, slope: float, intercept: float, warned: bool
    ) -> None:
        volume = read_nifti(patched(plain, scl_slope=slope, scl_inter=intercept))
        np.testing.assert_array_equal(volume.voxels, voxels())
        assert volume.voxels.dtype == np.int16
        assert len(volume.warnings) == warned
        assert all("scaling" in text and "ignored" in text for text in volume.warnings)


class TestAffines:
    def test_forms_that_agree_within_a_tenth_of_a_millimetre(self, tmp_path: Path) -> None:
        image = an_image()
        close = oblique()
        close[0, 3] += 0.09
        image.set_qform(close, code=1)
        np.testing.assert_allclose(read_nifti(saved(image, tmp_path)).affine, oblique(), atol=1e-5)

    @pytest.mark.parametrize("row", [0, 1, 2])
    def test_forms_that_differ(self, tmp_path: Path, row: int) -> None:
        image = an_image()
        other = oblique()
        other[row, 3] += 0.12
        image.set_qform(other, code=1)
        path = saved(image, tmp_path)
        with pytest.raises(GeometryError, match=r"agreement within 0\.1 mm") as caught:
            read_nifti(path)
        assert caught.value.where == f"{path}: sform and qform"
        assert "0.12 mm" in caught.value.found

    def test_forms_that_differ_by_a_flip(self, tmp_path: Path) -> None:
        image = an_image()
        image.set_qform(oblique() @ np.diag([-1, 1, 1, 1]), code=1)
        with pytest.raises(GeometryError, match="sform and qform"):
            read_nifti(saved(image, tmp_path))

    @pytest.mark.parametrize("turn", [1e-4, 3e-4, 5e-4, 1e-3, 2e-3])
    def test_what_a_quaternion_cannot_hold_is_no_disagreement(
        self, tmp_path: Path, turn: float
    ) -> None:
        # Nearly half a turn about z, as scans with axes to LPS have.
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("z", np.pi - turn).as_matrix()
        path = tmp_path / "scan.nii.gz"
        write_volume(Volume(np.zeros((256, 240, 30), np.uint8), affine), path)
        np.testing.assert_allclose(read_nifti(path).affine, affine, atol=1e-5)

    def test_near_half_a_turn_a_real_disagreement_is_still_seen(self, tmp_path: Path) -> None:
        affine = np.diag([-1.0, -1, 1, 1])
        turned = np.eye(4)
        turned[:3, :3] = Rotation.from_euler("z", np.pi - 0.02).as_matrix()
        image = nib.Nifti1Image(np.zeros((256, 240, 30), np.uint8), affine)
        image.set_sform(affine, code=1)
        image.set_qform(turned, code=1)
        with pytest.raises(GeometryError, match="sform and qform"):
            read_nifti(saved(image, tmp_path))

    def test_the_qform_alone(self, plain: Path) -> None:
        volume = read_nifti(patched(plain, sform_code=0, srow_x=np.nan))
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)

    def test_the_sform_alone(self, plain: Path) -> None:
        volume = read_nifti(patched(plain, qform_code=0, quatern_b=5))
        np.testing.assert_allclose(volume.affine, oblique(), atol=1e-5)

    def test_neither_form(self, plain: Path) -> None:
        volume = read_nifti(patched(plain, sform_code=0, qform_code=0))
        assert len(volume.warnings) == 1
        assert "codes are 0" in volume.warnings[0]
        assert volume.spacing_mm == (0.75, 1.25, 3.5)
        assert volume.orientation == "LAS"  # as the NIfTI standard's first method says

    def test_neither_form_and_no_spacing(self, plain: Path) -> None:
        spacing = [1, 1, 0, 1, 1, 1, 1, 1]
        with pytest.raises(GeometryError, match="pixdim"):
            read_nifti(patched(plain, sform_code=0, qform_code=0, pixdim=spacing))

    @pytest.mark.parametrize("value", [0, np.nan, np.inf])
    def test_an_unusable_sform(self, plain: Path, value: float) -> None:
        broken = patched(plain, srow_x=value, srow_y=value, srow_z=value)
        with pytest.raises(GeometryError) as caught:
            read_nifti(broken)
        assert caught.value.where == f"{plain}: sform"

    @pytest.mark.parametrize("value", [5, np.nan])
    def test_an_unusable_qform(self, plain: Path, value: float) -> None:
        with pytest.raises(GeometryError, match="qform"):
            read_nifti(patched(plain, quatern_b=value))


class TestDimensions:
    @pytest.mark.parametrize("tail", [(1,), (1, 1)])
    def test_one_volume_in_more_dimensions(self, tmp_path: Path, tail: tuple[int, ...]) -> None:
        path = saved(an_image(voxels().reshape(*SHAPE, *tail)), tmp_path)
        np.testing.assert_array_equal(read_nifti(path).voxels, voxels())

    @pytest.mark.parametrize("tail", [(2,), (1, 3), (2, 3)])
    def test_several_volumes(self, tmp_path: Path, tail: tuple[int, ...]) -> None:
        path = saved(an_image(np.zeros((*SHAPE, *tail), np.int16)), tmp_path)
        with pytest.raises(ScanError, match=f"{np.prod(tail)} volumes in one file") as caught:
            read_nifti(path)
        assert caught.value.where == f"{path}: dim"

    @pytest.mark.parametrize("kind", [np.complex64, np.complex128])
    def test_complex(self, tmp_path: Path, kind: Any) -> None:
        path = saved(an_image(voxels(kind)), tmp_path)
        with pytest.raises(ScanError, match="complex") as caught:
            read_nifti(path)
        assert caught.value.where == f"{path}: datatype"

    def test_colours(self, tmp_path: Path) -> None:
        rgb = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(ScanError, match="real numbers"):
            read_nifti(saved(nib.Nifti1Image(rgb, oblique()), tmp_path))

    @pytest.mark.parametrize(
        "dim",
        [
            [3, 7, 0, 9, 1, 1, 1, 1],
            [3, 7, 6, -1, 1, 1, 1, 1],
            [0, 7, 6, 9, 1, 1, 1, 1],
            [3, 32767, 32767, 32767, 1, 1, 1, 1],
            [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767],
            [3, 1024, 1024, 1024, 1, 1, 1, 1],  # below the limit, but not there
        ],
    )
    def test_absurd_sizes_allocate_nothing(
        self, plain: Path, dim: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            pytest.fail("voxels were allocated")

        broken = patched(plain, dim=dim)
        monkeypatch.setattr(np, "frombuffer", refuse)
        monkeypatch.setattr(np, "zeros", refuse)
        with pytest.raises(ScanError) as caught:
            read_nifti(broken)
        assert str(plain) in caught.value.where

    @pytest.mark.parametrize("offset", [np.nan, np.inf, -5, 0, 100, 1e9, 1e30])
    def test_absurd_starts_of_the_voxels(self, plain: Path, offset: float) -> None:
        with pytest.raises(ScanError, match="vox_offset"):
            read_nifti(patched(plain, vox_offset=offset))


class TestDamage:
    @pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
    def test_truncated_gzip(self, packed: Path, kept: float) -> None:
        content = packed.read_bytes()
        packed.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ScanError, match="truncated") as caught:
            read_nifti(packed)
        assert caught.value.where == str(packed)

    def test_truncated_plain_file(self, plain: Path) -> None:
        plain.write_bytes(plain.read_bytes()[:-1])
        with pytest.raises(ScanError, match="truncated"):
            read_nifti(plain)

    @pytest.mark.parametrize("shape", [SHAPE, (2, 2, 47), (2, 2, 48), (1, 2, 3)])
    def test_a_wrong_checksum(self, tmp_path: Path, shape: tuple[int, int, int]) -> None:
        # 352 bytes of header and 188 of voxels are exactly what reading the header asks for.
        image = nib.Nifti1Image(np.ones(shape, np.uint8), oblique())
        path = saved(image, tmp_path)
        content = bytearray(path.read_bytes())
        content[-8] ^= 1  # the CRC is followed by four bytes of length
        path.write_bytes(content)
        with pytest.raises(ScanError, match="CRC check failed"):
            read_nifti(path)

    def test_no_flipped_bit_changes_voxels_unseen(self, packed: Path) -> None:
        content = packed.read_bytes()
        refused = 0
        for position in range(10, len(content), 37):
            damaged = bytearray(content)
            damaged[position] ^= 16
            packed.write_bytes(damaged)
            try:
                volume = read_nifti(packed)
            except ScanError:
                refused += 1
            else:
                np.testing.assert_array_equal(volume.voxels, voxels())
        assert refused > 5

    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
    def test_zero_bytes(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ScanError, match=r"found: +0 bytes"):
            read_nifti(tmp_path / name)

    def test_plain_data_called_gz(self, plain: Path) -> None:
        path = plain.rename(plain.with_name("scan.nii.gz"))
        with pytest.raises(ScanError, match="gzip"):
            read_nifti(path)

    @pytest.mark.parametrize("content", [b"hello", b"\0" * 1000, b"x" * 1000])
    def test_something_else_called_nifti(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "scan.nii").write_bytes(content)
        with pytest.raises(ScanError, match="NIfTI header"):
            read_nifti(tmp_path / "scan.nii")

    def test_an_unknown_data_type(self, plain: Path) -> None:
        with pytest.raises(ScanError):
            read_nifti(patched(plain, datatype=12345))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ScanError, match="No such file"):
            read_nifti(tmp_path / "scan.nii.gz")

    @pytest.mark.parametrize("name", ["bomb.nii", "bomb.nii.gz"])
    def test_a_bomb_behind_the_last_voxel(self, tmp_path: Path, name: str) -> None:
        content = an_image().to_bytes() + b"\0" * (3 * 2**20)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(ScanError, match="after the last voxel"):
            read_nifti(path)

    def test_a_little_behind_the_last_voxel_is_padding(self, plain: Path) -> None:
        plain.write_bytes(plain.read_bytes() + b"\0" * 512)
        np.testing.assert_array_equal(read_nifti(plain).voxels, voxels())

    def test_only_as_much_as_the_header_says_is_unpacked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "bomb.nii.gz"
        path.write_bytes(gzip.compress(an_image().to_bytes() + b"\0" * (8 * 2**20)))
        unpacked: list[int] = []
        inner = gzip.GzipFile.read

        def count(stream: gzip.GzipFile, size: int = -1) -> bytes:
            content = inner(stream, size)
            unpacked.append(len(content))
            return content

        monkeypatch.setattr(gzip.GzipFile, "read", count)
        with pytest.raises(ScanError):
            read_nifti(path)
        assert sum(unpacked) < 2 * 2**20


def a_source(folder: Path, kind: Any = nib.Nifti1Image) -> Volume:
    image = an_image(kind=kind)
    image.header["descrip"] = b"TOKEN one"
    image.header["aux_file"] = b"TOKEN two"
    image.header["intent_name"] = b"TOKEN three"
    if kind is nib.Nifti1Image:
        image.header["db_name"] = b"TOKEN four"
        image.header["data_type"] = b"TOKEN five"
    else:
        image.header["unused_str"] = b"TOKEN six"
    image.header["cal_max"] = 4711
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"TOKEN seven" * 99))
    return read_nifti(saved(image, folder, "source.nii.gz"))


def a_mask(source: Volume, top: int = 3) -> Volume:
    labels = np.zeros(source.shape, np.int64)
    labels[1:3, 2:5, 4:5] = top
    return source.with_voxels(labels)


class TestWritingMasks:
    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_header_of_the_source(self, tmp_path: Path, kind: Any) -> None:
        source = a_source(tmp_path, kind)
        write_mask(a_mask(source), source, tmp_path / "mask.nii.gz")
        ours, theirs = nib.load(tmp_path / "mask.nii.gz").header, source.header
        assert type(ours) is type(theirs)
        np.testing.assert_array_equal(ours.get_sform(), theirs.get_sform())
        np.testing.assert_array_equal(ours.get_qform(), theirs.get_qform())
        assert (ours["sform_code"], ours["qform_code"]) == (2, 1)
        assert ours.get_xyzt_units() == ("mm", "sec")
        assert ours.get_slope_inter() in ((1, 0), (None, None))
        np.testing.assert_array_equal(
            nib.load(tmp_path / "mask.nii.gz").dataobj, a_mask(source).voxels
        )

    def test_slope_one_intercept_zero_in_the_bytes(self, tmp_path: Path) -> None:
        source = read_nifti(patched(saved(an_image(), tmp_path, "s.nii"), scl_slope=7, scl_inter=2))
        write_mask(a_mask(source), source, tmp_path / "mask.nii")
        header = nib.Nifti1Header((tmp_path / "mask.nii").read_bytes()[:348])
        assert (header["scl_slope"], header["scl_inter"]) == (1, 0)

    def test_neither_code_stays_neither(self, tmp_path: Path) -> None:
        source = read_nifti(
            patched(saved(an_image(), tmp_path, "s.nii"), sform_code=0, qform_code=0)
        )
        write_mask(a_mask(source), source, tmp_path / "mask.nii")
        written = read_nifti(tmp_path / "mask.nii")
        np.testing.assert_allclose(written.affine, source.affine, atol=1e-6)
        assert written.header is not None
        assert (written.header["sform_code"], written.header["qform_code"]) == (0, 0)

    @pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
    def test_free_text_is_gone(self, tmp_path: Path, kind: Any) -> None:
        source = a_source(tmp_path, kind)
        write_mask(a_mask(source), source, tmp_path / "mask.nii")
        assert b"TOKEN" not in (tmp_path / "mask.nii").read_bytes()
        assert not nib.load(tmp_path / "mask.nii").header.extensions
        assert nib.load(tmp_path / "mask.nii").header["cal_max"] == 0
        # The volume that was read is left as it was.
        assert source.header is not None
        assert source.header["descrip"].item() == b"TOKEN one"

    @pytest.mark.parametrize(
        ("top", "kind"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)]
    )
    def test_smallest_integer_type(self, tmp_path: Path, top: int, kind: Any) -> None:
        source = a_source(tmp_path)
        write_mask(a_mask(source, top), source, tmp_path / "mask.nii.gz")
        written = read_nifti(tmp_path / "mask.nii.gz")
        assert written.voxels.dtype == kind
        np.testing.assert_array_equal(written.voxels, a_mask(source, top).voxels)

    def test_a_truth_value_is_a_label(self, tmp_path: Path) -> None:
        source = a_source(tmp_path)
        write_mask(source.with_voxels(voxels() > 100), source, tmp_path / "mask.nii.gz")
        written = read_nifti(tmp_path / "mask.nii.gz").voxels
        assert written.dtype == np.uint8
        np.testing.assert_array_equal(written, voxels() > 100)

    def test_big_endian_source(self, tmp_path: Path) -> None:
        header = nib.Nifti1Header(endianness=">")
        header.set_data_dtype(np.int16)
        source = read_nifti(saved(nib.Nifti1Image(voxels(), oblique(), header), tmp_path))
        write_mask(a_mask(source, 300), source, tmp_path / "mask.nii.gz")
        np.testing.assert_array_equal(
            read_nifti(tmp_path / "mask.nii.gz").voxels, a_mask(source, 300).voxels
        )

    @pytest.mark.parametrize("name", ["mask.nii", "mask.nii.gz"])
    def test_same_mask_same_bytes(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = a_source(tmp_path)
        write_mask(a_mask(source), source, tmp_path / "one" / name)
        monkeypatch.setattr("time.time", lambda: 1e9)
        write_mask(a_mask(source), source, tmp_path / "two" / f"other_{name}")
        one = (tmp_path / "one" / name).read_bytes()
        assert one == (tmp_path / "two" / f"other_{name}").read_bytes()

    def test_without_a_source_header(self, tmp_path: Path) -> None:
        source = Volume(voxels(), oblique(), "series")  # as from DICOM
        write_mask(a_mask(source), source, tmp_path / "mask.nii.gz")
        header = nib.load(tmp_path / "mask.nii.gz").header
        np.testing.assert_allclose(header.get_sform(), oblique(), atol=1e-5)
        np.testing.assert_allclose(header.get_qform(), oblique(), atol=1e-5)
        assert (header["sform_code"], header["qform_code"]) == (1, 1)
        assert header.get_xyzt_units()[0] == "mm"

    def test_a_failing_write_leaves_the_old_mask(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = a_source(tmp_path)
        path = tmp_path / "out" / "mask.nii.gz"
        write_mask(a_mask(source), source, path)
        before = path.read_bytes()

        def full(self: Path, content: bytes) -> int:
            with self.open("wb") as file:
                file.write(content[:20])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            write_mask(a_mask(source, 2), source, path)
        assert path.read_bytes() == before
        assert list(path.parent.iterdir()) == [path]

    def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        source = a_source(tmp_path)
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError) as caught:
            write_mask(a_mask(source), source, tmp_path / "file" / "mask.nii.gz")
        assert str(tmp_path / "file") in caught.value.where

    @pytest.mark.parametrize("column", [0, 3])
    def test_another_grid(self, tmp_path: Path, column: int) -> None:
        source = a_source(tmp_path)
        affine = source.affine.copy()
        affine[0, column] += 0.01
        with pytest.raises(GeometryError):
            write_mask(replace(a_mask(source), affine=affine), source, tmp_path / "mask.nii.gz")
        assert not (tmp_path / "mask.nii.gz").exists()

    def test_another_shape(self, tmp_path: Path) -> None:
        source = a_source(tmp_path)
        mask = Volume(np.zeros((7, 6, 8), np.uint8), source.affine)
        with pytest.raises(GeometryError, match=r"\(7, 6, 8\)"):
            write_mask(mask, source, tmp_path / "mask.nii.gz")

    def test_masks_replace_no_source_header(self, tmp_path: Path) -> None:
        source = a_source(tmp_path)
        before = source.header.binaryblock if source.header else b""
        write_mask(a_mask(source), source, tmp_path / "mask.nii.gz")
        assert source.header is not None
        assert source.header.binaryblock == before


def test_probabilities_are_stacked_along_the_fourth_axis(tmp_path: Path) -> None:
    source = a_source(tmp_path)
    parts = [source.with_voxels(voxels(np.float32) / n) for n in (1000, 2000)]
    write_probabilities(parts, source, tmp_path / "p.nii.gz")
    image = nib.load(tmp_path / "p.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert image.shape == (*SHAPE, 2)
    np.testing.assert_array_equal(image.dataobj[..., 1], parts[1].voxels)
    np.testing.assert_allclose(image.affine, oblique(), atol=1e-5)


def test_probabilities_on_another_grid(tmp_path: Path) -> None:
    source = a_source(tmp_path)
    moved = replace(source, affine=source.affine + 0.01)
    with pytest.raises(GeometryError):
        write_probabilities([source, moved], source, tmp_path / "p.nii.gz")


numbers = st.floats(-180, 180)


@settings(max_examples=60, deadline=None)
@given(
    turns=st.tuples(numbers, numbers, numbers),
    spacing_mm=st.tuples(*[st.floats(0.4, 5)] * 3),
    origin_mm=st.tuples(*[st.floats(-250, 250)] * 3),
    mirrored=st.booleans(),
    with_header=st.booleans(),
)
def test_round_trip_keeps_every_position(
    turns: tuple[float, ...],
    spacing_mm: tuple[float, ...],
    origin_mm: tuple[float, ...],
    mirrored: bool,
    with_header: bool,
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("zyx", turns, degrees=True).as_matrix() * spacing_mm
    affine[:3, 3] = origin_mm
    if mirrored:
        affine[:3, 0] *= -1
    source = Volume(voxels(), affine)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if with_header:
            write_volume(source, folder / "source.nii")
            source = read_nifti(folder / "source.nii")
        write_mask(source.with_voxels(voxels()), source, folder / "mask.nii")
        back = read_nifti(folder / "mask.nii")
    np.testing.assert_array_equal(back.voxels, voxels())
    places = np.argwhere(np.ones(SHAPE, dtype=bool))
    expected = places @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(back.world_position_mm(places), expected, atol=1e-4)


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


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:100],
        lambda content: content[:0],
        lambda content: bytes(reversed(content)),
        lambda content: content[:200] + b"\xff" * 60 + content[260:],
    ],
)
def test_nothing_but_named_errors(plain: Path, spoil: Callable[[bytes], bytes]) -> None:
    plain.write_bytes(spoil(plain.read_bytes()))
    with pytest.raises(SlicewiseError) as caught:
        read_nifti(plain)
    assert str(plain) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize("value", [0, 1, 3, 64, 127, 128, 255])
def test_any_byte_of_a_header_may_be_wrong(tmp_path: Path, value: int) -> None:
    content = an_image().to_bytes()
    path = tmp_path / "scan.nii"
    read = 0
    for position in range(348):
        damaged = bytearray(content)
        damaged[position] = value
        path.write_bytes(damaged)
        try:
            volume = read_nifti(path)
        except SlicewiseError:
            continue
        read += 1
        assert np.isfinite(volume.affine).all()
        assert volume.voxels.size <= np.prod(SHAPE)
    # Most bytes tell nothing about voxels or places.
    assert 150 < read < 348
