"""Pixels that are truncated, absent, or not what their header says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import RLELossless

from slicewise.errors import ScanError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]


@pytest.mark.fault(35, "Q")
@pytest.mark.parametrize("lost_bytes", [2, 20, 150])
def test_truncated_pixels_name_their_file(
    lost_bytes: int, phantom: Any, write_dicom: Write, only: Call, sandbox: Sandbox
) -> None:
    series = only(write_dicom(phantom.datasets()))
    damaged = series.files[3]
    damaged.write_bytes(damaged.read_bytes()[:-lost_bytes])
    with pytest.raises(ScanError, match="truncated or damaged") as caught:
        read_series(series, sandbox)
    assert caught.value.where == str(damaged)


@pytest.mark.fault(35, "Q")
@pytest.mark.parametrize("compressed", [False, True])
def test_too_few_pixels_are_never_filled_up(
    compressed: bool, phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets()
    short = datasets[2].PixelData[:-22]
    datasets[2].Rows -= 1
    datasets[2].PixelData = short
    if compressed:
        for dataset in datasets:
            dataset.compress(RLELossless)
    datasets[2].Rows += 1
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom(datasets))


def test_no_pixels_at_all(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    del datasets[1].PixelData
    with pytest.raises(ScanError, match="truncated or damaged"):
        read(write_dicom(datasets))


@pytest.mark.parametrize(
    "tags", [{"BitsStored": 0}, {"BitsStored": 17}, {"HighBit": 16}, {"BitsStored": None}]
)
def test_impossible_bits(
    tags: dict[str, Any], phantom: Any, write_dicom: Write, read: Call
) -> None:
    with pytest.raises(ScanError, match=r"bits|truncated or damaged"):
        read(write_dicom(phantom.datasets(**tags)))


def without(datasets: list[FileDataset], keyword: str) -> list[FileDataset]:
    for dataset in datasets:
        delattr(dataset, keyword)
    return datasets


def test_floating_point_pixels(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets(BitsAllocated=32)
    for dataset in datasets:
        del dataset.PixelData
        dataset.FloatPixelData = np.ones(77, np.float32).tobytes()
    with pytest.raises(ScanError):
        read(write_dicom(datasets))


def test_no_high_bit(phantom: Any, write_dicom: Write, read: Call) -> None:
    with pytest.raises(ScanError):
        read(write_dicom(without(phantom.datasets(), "HighBit")))
