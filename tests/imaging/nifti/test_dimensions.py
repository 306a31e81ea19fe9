"""Sizes in a header: one volume, several of which one is chosen, or absurd ones."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.errors import ScanError
from slicewise.imaging.nifti import stream
from slicewise.imaging.nifti.reading import NiftiVolume, read_nifti, volume_count


def test_a_slice_is_a_flat_volume(scans: Any, tmp_path: Path) -> None:
    path = scans.saved(nib.Nifti1Image(np.ones((4, 5), np.int16), scans.affine), tmp_path)
    assert read_nifti(path).shape == (4, 5, 1)
    assert volume_count(path) == 1


@pytest.mark.fault(54, "OK")
@pytest.mark.parametrize("tail", [(1,), (1, 1)])
def test_one_volume_in_more_dimensions(scans: Any, tmp_path: Path, tail: tuple[int, ...]) -> None:
    path = scans.saved(scans.image(scans.voxels().reshape(*scans.shape, *tail)), tmp_path)
    assert volume_count(path) == 1
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.voxels, scans.voxels())
    assert (volume.name, volume.warnings) == ("scan", ())


class TestSeveralVolumes:
    @pytest.fixture
    def values(self, scans: Any) -> NDArray[Any]:
        return np.stack([scans.voxels() + 1000 * n for n in range(3)], axis=-1)

    @pytest.fixture(params=["run.nii", "run.nii.gz"])
    def path(
        self, scans: Any, values: NDArray[Any], tmp_path: Path, request: pytest.FixtureRequest
    ) -> Path:
        path: Path = scans.saved(scans.image(values), tmp_path, request.param)
        return path

    @pytest.mark.fault(54, "S")
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_one_by_one(self, scans: Any, values: NDArray[Any], path: Path, number: int) -> None:
        assert volume_count(path) == 3
        volume = read_nifti(path, volume=number)
        np.testing.assert_array_equal(volume.voxels, values[..., number])
        np.testing.assert_allclose(volume.affine, scans.affine, atol=1e-5)
        assert volume.name == f"run_v00{number + 1}"

    @pytest.mark.parametrize("tail", [(2,), (1, 3), (2, 3)])
    def test_not_without_a_choice(self, scans: Any, tmp_path: Path, tail: tuple[int, ...]) -> None:
        path = scans.saved(scans.image(np.zeros((*scans.shape, *tail), np.int16)), tmp_path)
        assert volume_count(path) == np.prod(tail)
        with pytest.raises(ScanError, match=f"{np.prod(tail)} volumes in one file") as caught:
            read_nifti(path)
        assert caught.value.where == f"{path}: dim"
        assert "find_scans" in caught.value.remedy

    @pytest.mark.parametrize("number", [-1, 3])
    def test_a_volume_that_is_not_there(self, path: Path, number: int) -> None:
        with pytest.raises(ScanError, match="3 volumes"):
            read_nifti(path, volume=number)

    def test_in_five_dimensions(self, scans: Any, tmp_path: Path) -> None:
        values = np.arange(2 * 3 * 4 * 2 * 3, dtype=np.int16).reshape(2, 3, 4, 2, 3)
        path = scans.saved(nib.Nifti1Image(values, scans.affine), tmp_path)
        np.testing.assert_array_equal(read_nifti(path, volume=3).voxels, values[..., 1, 1])

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_damage_anywhere_is_damage(self, path: Path, number: int) -> None:
        content = bytearray(path.read_bytes())
        if path.name.endswith(".gz"):
            content[-8] ^= 1
            path.write_bytes(content)
            expected = "a wrong checksum"
        else:
            path.write_bytes(content[:-1])
            expected = "truncated"
        with pytest.raises(ScanError, match=expected):
            read_nifti(path, volume=number)

    @pytest.mark.parametrize("number", [0, 2])
    def test_an_end_in_the_middle_of_a_sound_stream(
        self, scans: Any, values: NDArray[Any], tmp_path: Path, number: int
    ) -> None:
        content = scans.image(values).to_bytes()
        path = tmp_path / "run.nii.gz"
        path.write_bytes(gzip.compress(content[:-100]))
        with pytest.raises(ScanError, match=rf"found: +{len(content) - 100} bytes \(truncated\)"):
            read_nifti(path, volume=number)

    def test_only_one_is_held(
        self, scans: Any, path: Path, values: NDArray[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream, "_CHUNK_BYTES", 100)
        volume = read_nifti(path, volume=1)
        base = volume.voxels
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert base.nbytes == scans.voxels().nbytes
        np.testing.assert_array_equal(volume.voxels, values[..., 1])

    @pytest.mark.fault(59, "Q")
    def test_all_of_them_count_for_the_limit(self, scans: Any, plain: Path) -> None:
        path = scans.patched(plain, dim=[4, 1024, 1024, 512, 9, 1, 1, 1])
        for read in (volume_count, lambda path: read_nifti(path, volume=0)):
            with pytest.raises(ScanError, match="at most 8 GiB"):
                read(path)

    def test_in_words(self) -> None:
        one = NiftiVolume(Path("data/run.nii.gz"), 2)
        assert str(one) == "data/run.nii.gz, volume 3"
        assert one.name == "run_v003"
        assert one == NiftiVolume(Path("data/run.nii.gz"), 2)
        assert len({one, NiftiVolume(Path("data/run.nii.gz"), 2)}) == 1


def test_counting_reads_the_header_alone(plain: Path) -> None:
    plain.write_bytes(plain.read_bytes()[:400])
    assert volume_count(plain) == 1
    with pytest.raises(ScanError):
        read_nifti(plain)


class TestKindsOfVoxels:
    @pytest.mark.fault(55, "Q")
    @pytest.mark.parametrize("kind", [np.complex64, np.complex128])
    def test_complex(self, scans: Any, tmp_path: Path, kind: Any) -> None:
        path = scans.saved(scans.image(scans.voxels(kind)), tmp_path)
        for read in (read_nifti, volume_count):
            with pytest.raises(ScanError, match="complex") as caught:
                read(path)
            assert caught.value.where == f"{path}: datatype"

    def test_colours(self, scans: Any, tmp_path: Path) -> None:
        rgb = np.zeros(scans.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
        with pytest.raises(ScanError, match="real numbers"):
            read_nifti(scans.saved(nib.Nifti1Image(rgb, scans.affine), tmp_path))


@pytest.mark.fault(59, "Q")
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
@pytest.mark.parametrize(
    "dim",
    [
        [3, 7, 0, 9, 1, 1, 1, 1],
        [3, 7, 6, -1, 1, 1, 1, 1],
        [4, 7, 6, 9, 0, 1, 1, 1],
        [0, 7, 6, 9, 1, 1, 1, 1],
        [8, 7, 6, 9, 1, 1, 1, 1],
        [3, 32767, 32767, 32767, 1, 1, 1, 1],
        [7, 32767, 32767, 32767, 32767, 32767, 32767, 32767],
        [3, 1024, 1024, 1024, 1, 1, 1, 1],  # below the limit, but not there
    ],
)
def test_absurd_sizes_allocate_nothing(
    scans: Any, plain: Path, name: str, dim: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("voxels were read")

    broken = scans.patched(plain, dim=dim)
    if name.endswith(".gz"):
        content = gzip.compress(broken.read_bytes())
        broken = broken.with_name(name)
        broken.write_bytes(content)
    monkeypatch.setattr(stream, "_skip", refuse)
    with pytest.raises(ScanError) as caught:
        read_nifti(broken)
    assert str(broken) in caught.value.where


@pytest.mark.parametrize("offset", [np.nan, np.inf, -5, 0, 100, 1e9, 1e30])
def test_absurd_starts_of_the_voxels(scans: Any, plain: Path, offset: float) -> None:
    with pytest.raises(ScanError, match="vox_offset"):
        read_nifti(scans.patched(plain, vox_offset=offset))
