"""A file whose suffix promises another format than it has is refused in words."""

from __future__ import annotations

import gzip
import io
import zipfile
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from slicewise.errors import ScanError
from slicewise.imaging.nifti.reading import read_nifti
from slicewise.imaging.pictures import read_picture

SCAN = nib.Nifti1Image(np.zeros((3, 4, 5), np.uint8), np.eye(4)).to_bytes()
# The time of packing would stand in the names of the tests, which worker processes compare.
packed = partial(gzip.compress, mtime=0)
PACKED = packed(SCAN)
DICOM = b"\0" * 128 + b"DICM\2\0\0\0UL\4\0\0\0\0\0"
ANALYZE = SCAN[:344] + bytes(4)
PAIR = SCAN[:344] + b"ni1\0"


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("scan.nii", SCAN)
    return target.getvalue()


def picture(kind: str) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(target, kind)
    return target.getvalue()


@pytest.mark.fault(133, "Q")
@pytest.mark.parametrize(
    ("name", "content", "words", "remedy"),
    [
        ("a.nii", PACKED, "a NIfTI file compressed by gzip", ".nii.gz"),
        ("a.nii.gz", SCAN, "an uncompressed NIfTI file", "end in .nii"),
        ("a.nii.gz", packed(PACKED), "a gzip file within a gzip file", "gunzip"),
        ("a.nii", packed(PACKED), "a gzip file within a gzip file", "gunzip"),
        ("a.nii.gz", zipped(), "a zip archive", "unzip"),
        ("a.NII.GZ", zipped(), "a zip archive", "unzip"),
        ("a.nii", DICOM, "a DICOM file", ".dcm"),
        ("a.nii.gz", packed(DICOM), "a DICOM file, compressed by gzip", "gunzip"),
        ("a.nii", picture("png"), "a PNG picture", ".png"),
        ("a.nii", ANALYZE, "Analyze 7.5", "NIfTI"),
        ("a.nii", PAIR, "pair of .hdr and .img", "NIfTI"),
        ("a.nii.gz", b"<!DOCTYPE html><html>404</html>", "a web page", "download"),
        ("a.nii.gz", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
        ("a.nii", b"NRRD0004\ntype: short\n", "an NRRD file", ".nrrd"),
    ],
)
def test_another_format_called_nifti(
    tmp_path: Path, name: str, content: bytes, words: str, remedy: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScanError) as caught:
        read_nifti(tmp_path / name)
    assert caught.value.where == str(tmp_path / name)
    assert words in caught.value.found
    assert remedy in caught.value.remedy


@pytest.mark.fault(133, "Q")
@pytest.mark.parametrize(("content", "words"), [(DICOM, "a DICOM file"), (PACKED, "gzip")])
def test_another_format_called_png(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ScanError, match=words):
        read_picture(tmp_path / "a.png")


@pytest.mark.fault(133, "W")
def test_a_png_called_jpg_is_read_and_noticed(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture("png"))
    volume = read_picture(tmp_path / "a.jpg")
    assert volume.voxels[3, 2, 0] == 11
    assert "a PNG picture, although its name ends in .jpg" in volume.warnings


def test_unknown_content_keeps_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"hello" * 100)
    with pytest.raises(ScanError, match="a NIfTI header"):
        read_nifti(tmp_path / "a.nii")
