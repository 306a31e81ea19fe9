"""What may happen between the search for a series and the reading of its pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from slicewise.errors import OutputError, ScanError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


def test_a_changed_size_is_noticed(
    phantom: Any, write_dicom: Write, only: Call, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    with pytest.raises(ScanError, match="changed since it was scanned"):
        read_series(replace(series, shape=(7, 11, 5)), sandbox)


def test_a_changed_type_is_noticed(
    phantom: Any, write_dicom: Write, only: Call, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    changed = phantom.datasets(RescaleSlope="2", RescaleIntercept="0")[0]
    changed.save_as(series.files[0], enforce_file_format=True)
    with pytest.raises(ScanError, match="changed since it was scanned") as caught:
        read_series(series, sandbox)
    assert caught.value.where == str(series.files[0])


def test_a_removed_file_is_named(
    phantom: Any, write_dicom: Write, only: Call, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    series.files[2].unlink()
    with pytest.raises(ScanError) as caught:
        read_series(series, sandbox)
    assert caught.value.where == str(series.files[2])


def test_nothing_is_left_behind(
    phantom: Any,
    write_dicom: Write,
    only: Call,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    series = only(write_dicom(phantom.datasets()))
    read_series(series, sandbox)
    series.files[2].unlink()
    with pytest.raises(ScanError):
        read_series(series, sandbox)
    assert list(scratch.iterdir()) == []


@pytest.mark.fault(73, "E")
def test_full_disk_names_the_temporary_folder(phantom: Any, write_dicom: Write, only: Call) -> None:
    class FullDisk(Sandbox):
        def call(self, *_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device")

    series = only(write_dicom(phantom.datasets()))
    with pytest.raises(OutputError, match="No space left on device") as caught:
        read_series(series, FullDisk())
    assert "TMPDIR" in caught.value.remedy


@pytest.mark.fault(69, "OK")
def test_files_are_never_written(phantom: Any, write_dicom: Write, read: Call) -> None:
    folder = write_dicom(phantom.datasets())
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    for path in before:
        path.chmod(0o400)
    folder.chmod(0o500)
    try:
        np.testing.assert_array_equal(read(folder).voxels, phantom.voxels)
        after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    finally:
        folder.chmod(0o700)
    assert after == before


def test_paths_may_be_relative(
    phantom: Any, write_dicom: Write, read: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dicom(phantom.datasets())
    monkeypatch.chdir(folder.parent)
    volume = read(Path(os.path.relpath(folder)))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)


@pytest.mark.data
def test_hippocampus_crop(test_data: Path, read: Call) -> None:
    volume = read(test_data / "dicom" / "Study1" / "13_HCropVolume")
    assert volume.shape == (35, 51, 32)
    np.testing.assert_allclose(volume.spacing_mm, 1, atol=1e-4)
