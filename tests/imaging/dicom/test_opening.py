"""DICOM files without the preamble of the standard are read as all others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from slicewise.imaging.dicom.opening import open_dicom

Call = Callable[..., Any]


def bare(folder: Path, datasets: list[FileDataset], syntax: str, *, with_meta: bool) -> Path:
    folder.mkdir()
    for number, dataset in enumerate(datasets):
        target = folder / f"IM{number:04d}"
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        dataset.preamble = None
        dataset.file_meta.TransferSyntaxUID = syntax
        if not with_meta:
            dataset.file_meta = FileMetaDataset()
        dcmwrite(
            target,
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=False,
        )
        assert target.read_bytes()[128:132] != b"DICM"
    return folder


@pytest.mark.fault(129, "OK")
@pytest.mark.parametrize("with_meta", [True, False])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_without_preamble_and_suffix(
    syntax: str, with_meta: bool, phantom: Any, tmp_path: Path, read: Call
) -> None:
    volume = read(bare(tmp_path / "scan", phantom.datasets(), syntax, with_meta=with_meta))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.warnings == ()


@pytest.mark.parametrize(
    "content", [b"\x08\0" * 200, b"\x02\0\0\0UL\4\0" + b"\xff" * 200, b"\x08\0"]
)
def test_what_only_begins_like_dicom_is_ignored(
    content: bytes, phantom: Any, write_dicom: Call, only: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "other").write_bytes(content)
    assert only(folder).shape == (11, 7, 5)


def test_the_transfer_syntax_is_that_of_the_encoding(phantom: Any, tmp_path: Path) -> None:
    folder = bare(tmp_path / "a", phantom.datasets(), ImplicitVRLittleEndian, with_meta=False)
    dataset = open_dicom(folder / "IM0000")
    assert dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
