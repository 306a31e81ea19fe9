"""Damaged and hostile files: a named error, never voxels that were not there."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.errors import ScanError, SlicewiseError
from slicewise.imaging.nifti import stream
from slicewise.imaging.nifti.reading import read_nifti


class TestTruncation:
    @pytest.mark.fault(56, "Q")
    @pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
    def test_gzip(self, packed: Path, kept: float) -> None:
        content = packed.read_bytes()
        packed.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ScanError, match="truncated") as caught:
            read_nifti(packed)
        assert caught.value.where == str(packed)

    def test_plain_file(self, plain: Path) -> None:
        plain.write_bytes(plain.read_bytes()[:-1])
        with pytest.raises(ScanError, match="truncated"):
            read_nifti(plain)


class TestFlippedBits:
    @pytest.mark.fault(57, "Q")
    @pytest.mark.parametrize("shape", [(7, 6, 9), (2, 2, 47), (2, 2, 48), (1, 2, 3)])
    def test_a_wrong_checksum(
        self, scans: Any, tmp_path: Path, shape: tuple[int, int, int]
    ) -> None:
        # 352 bytes of header and 188 of voxels are exactly what reading the header asks for.
        path = scans.saved(nib.Nifti1Image(np.ones(shape, np.uint8), scans.affine), tmp_path)
        content = bytearray(path.read_bytes())
        content[-8] ^= 1  # the CRC is followed by four bytes of length
        path.write_bytes(content)
        with pytest.raises(ScanError, match="a wrong checksum"):
            read_nifti(path)

    @pytest.mark.fault(57, "Q")
    def test_no_flipped_bit_changes_voxels_unseen(self, scans: Any, packed: Path) -> None:
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
                np.testing.assert_array_equal(volume.voxels, scans.voxels())
        assert refused > 5


class TestOtherContent:
    @pytest.mark.fault(58, "Q")
    @pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
    def test_zero_bytes(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(b"")
        with pytest.raises(ScanError, match=r"found: +0 bytes"):
            read_nifti(tmp_path / name)

    @pytest.mark.fault(58, "Q")
    def test_plain_data_called_gz(self, plain: Path) -> None:
        path = plain.rename(plain.with_name("scan.nii.gz"))
        with pytest.raises(ScanError, match="gzip"):
            read_nifti(path)

    @pytest.mark.parametrize("content", [b"hello", b"\0" * 1000, b"x" * 1000])
    def test_something_else_called_nifti(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "scan.nii").write_bytes(content)
        with pytest.raises(ScanError, match="NIfTI header"):
            read_nifti(tmp_path / "scan.nii")

    def test_an_unknown_data_type(self, scans: Any, plain: Path) -> None:
        with pytest.raises(ScanError, match="12345"):
            read_nifti(scans.patched(plain, datatype=12345))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ScanError, match="No such file"):
            read_nifti(tmp_path / "scan.nii.gz")


class TestBombs:
    @pytest.mark.fault(81, "Q")
    @pytest.mark.parametrize("name", ["bomb.nii", "bomb.nii.gz"])
    def test_behind_the_last_voxel(self, scans: Any, tmp_path: Path, name: str) -> None:
        content = scans.image().to_bytes() + b"\0" * (3 * 2**20)
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(ScanError, match="after the last voxel"):
            read_nifti(path)

    def test_a_little_behind_the_last_voxel_is_padding(self, scans: Any, plain: Path) -> None:
        plain.write_bytes(plain.read_bytes() + b"\0" * 512)
        np.testing.assert_array_equal(read_nifti(plain).voxels, scans.voxels())

    @pytest.mark.fault(81, "Q")
    def test_only_as_much_as_the_header_says_is_unpacked(
        self, scans: Any, tmp_path: Path, unpacked: list[int]
    ) -> None:
        path = tmp_path / "bomb.nii.gz"
        path.write_bytes(gzip.compress(scans.image().to_bytes() + b"\0" * (8 * 2**20)))
        with pytest.raises(ScanError):
            read_nifti(path)
        assert 0 < sum(unpacked) < 2 * 2**20

    @pytest.mark.fault(81, "Q")
    def test_a_header_that_promises_all_the_zeros(
        self, scans: Any, tmp_path: Path, unpacked: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Everything fits, as in a mask of background; only such a large one is suspicious.
        image = nib.Nifti1Image(np.zeros((64, 128, 256), np.int16), scans.affine)
        path = scans.saved(image, tmp_path)
        monkeypatch.setattr(stream, "MAXIMUM_GROWN_BYTES", 4 * 2**20)
        unpacked.clear()
        with pytest.raises(ScanError, match=f"decompress to {64 * 128 * 256 * 2 + 352}") as caught:
            read_nifti(path)
        assert sum(unpacked) == 540  # the header
        assert "gunzip" in caught.value.remedy
        monkeypatch.undo()
        assert not read_nifti(path).voxels.any()

    @pytest.fixture
    def unpacked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """How many bytes each reading of a gzip file gave."""
        lengths: list[int] = []
        inner = gzip.GzipFile.read

        def count(file: gzip.GzipFile, size: int = -1) -> bytes:
            content = inner(file, size)
            lengths.append(len(content))
            return content

        monkeypatch.setattr(gzip.GzipFile, "read", count)
        return lengths


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


@pytest.mark.parametrize("value", [0, 3, 127, 255])
def test_any_byte_of_a_header_may_be_wrong(scans: Any, tmp_path: Path, value: int) -> None:
    content = scans.image().to_bytes()
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
        assert volume.voxels.size <= np.prod(scans.shape)
    # Most bytes tell nothing about voxels or places.
    assert 150 < read < 348
