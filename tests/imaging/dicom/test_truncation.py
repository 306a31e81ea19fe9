"""Compressed pixels that end too early are never filled up."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from slicewise.errors import ScanError
from slicewise.imaging.dicom.pixels import Slice, decode_series
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

COMPRESSED = [RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless]


def shorten(dataset: FileDataset, kept: float) -> None:
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: int(len(frame) * kept)]])
    dataset["PixelData"].is_undefined_length = True


@pytest.mark.fault(35, "Q")
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("kept", [0.1, 0.3])
def test_truncated_slice_is_named(
    kept: float,
    syntax: UID,
    phantom: Any,
    write_dicom: Write,
    only: Call,
    sandbox: Sandbox,
    stored_as: Call,
) -> None:
    datasets = [stored_as(dataset, syntax) for dataset in phantom.datasets()]
    shorten(datasets[2], kept)
    series = only(write_dicom(datasets))
    with pytest.raises(ScanError, match="truncated or damaged") as caught:
        read_series(series, sandbox)
    assert caught.value.where == str(series.files[2])


@pytest.mark.fault(35, "Q")
@pytest.mark.parametrize("kept", [0.5, 0.8, 0.99])
def test_truncated_baseline_jpeg(kept: float, phantom: Any, write_dicom: Write, read: Call) -> None:
    # The reference decoder of this compression fills up with grey and warns nobody.
    pixels = np.add.outer(np.arange(7) * 30, np.arange(11) * 3).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=90)
    tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0}
    datasets = phantom.datasets(**tags, PixelData=encapsulate([stream.getvalue()]))
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        dataset["PixelData"].is_undefined_length = True
    shorten(datasets[2], kept)
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom(datasets))


@pytest.mark.fault(35, "Q")
@pytest.mark.parametrize("name", ["JPGExtended.dcm", "MR_small_jp2klossless.dcm", "693_J2KI.dcm"])
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_truncated_files_of_other_writers(
    kept: float, name: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    shorten(dataset, kept)
    path, target = tmp_path / name, tmp_path / "voxels.raw"
    dataset.save_as(path)
    size = dataset.Columns, dataset.Rows
    with pytest.raises(ScanError, match="truncated or damaged"):
        sandbox.call(decode_series, [Slice(path, 0, 0)], size, "float32", target, where=path)


@pytest.mark.fault(35, "Q")
def test_truncated_frames(enhanced: Call, write_dicom: Write, read: Call) -> None:
    whole = enhanced()
    whole.PixelData = whole.PixelData[:-100]
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom([whole]))


@pytest.mark.fault(35, "Q")
def test_lost_frames(enhanced: Call, write_dicom: Write, read: Call) -> None:
    whole = enhanced()
    whole.compress(RLELossless)
    frames = list(generate_frames(whole.PixelData, number_of_frames=5))
    whole.PixelData = encapsulate(frames[:4])
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom([whole]))


@pytest.mark.slow
@pytest.mark.fault(35, "Q")
def test_truncated_jpeg_ls(phantom: Any, write_dicom: Write, read: Call, stored_as: Call) -> None:
    # The decoder itself takes seconds to find out.
    datasets = [stored_as(dataset, JPEGLSLossless) for dataset in phantom.datasets()]
    shorten(datasets[2], 0.8)
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom(datasets))
