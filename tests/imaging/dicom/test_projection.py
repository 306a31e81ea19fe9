"""Radiographs have no place in a patient: each is one slice with the size of its pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

RADIOGRAPH = "a radiograph has no position in the patient; its grid is that of its pixels"
PLACES = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")


@pytest.fixture
def radiographs(phantom: Any) -> Callable[..., list[FileDataset]]:
    def radiographs(storage: str = ComputedRadiographyImageStorage, **tags: Any) -> list[Any]:
        datasets = phantom.datasets(SOPClassUID=storage, Modality="CR")
        for dataset in datasets:
            dataset.file_meta.MediaStorageSOPClassUID = storage
            for keyword in PLACES:
                delattr(dataset, keyword)
            for keyword, value in tags.items():
                setattr(dataset, keyword, value)
        return datasets

    return radiographs


@pytest.mark.parametrize(
    ("tags", "spacing_mm", "said"),
    [
        ({"PixelSpacing": ["0.2", "0.1"]}, (0.1, 0.2, 1), ()),
        (
            {"ImagerPixelSpacing": ["0.2", "0.1"]},
            (0.1, 0.2, 1),
            ("the pixel spacing is that on the detector",),
        ),
        ({}, (1, 1, 1), ("the pixel spacing is unknown: sizes are in pixels",)),
    ],
)
def test_radiograph_is_one_slice(
    tags: dict[str, Any],
    spacing_mm: tuple[float, ...],
    said: tuple[str, ...],
    phantom: Any,
    radiographs: Call,
    write_dicom: Write,
    read: Call,
) -> None:
    volume = read(write_dicom(radiographs(**tags)[:1]))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels[:, :, :1])
    # Columns to the left, rows to the back, seen from above.
    np.testing.assert_allclose(volume.affine, np.diag([-1, -1, 1, 1]) @ np.diag([*spacing_mm, 1]))
    assert volume.spacing_is_known == bool(tags)
    assert {RADIOGRAPH, *said, "modality is CR, not MR"} <= set(volume.warnings)


@pytest.mark.parametrize(
    "storage", [DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing]
)
def test_radiographs_of_a_series_are_no_stack(
    storage: str, radiographs: Call, write_dicom: Write, phantom: Any, read_all: Call
) -> None:
    volumes = read_all(write_dicom(radiographs(storage, PixelSpacing=["0.2", "0.1"])))
    assert [volume.shape for volume in volumes] == [(11, 7, 1)] * 5
    corners = sorted(int(volume.voxels[0, 0, 0]) for volume in volumes)
    assert corners == sorted(int(value) for value in phantom.voxels[0, 0])


@pytest.mark.fault(29, "W")
def test_inverted_radiograph(radiographs: Call, write_dicom: Write, read: Call) -> None:
    pixels = np.arange(77, dtype=np.uint16)
    tags = {
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelRepresentation": 0,
        "BitsStored": 10,
        "HighBit": 9,
        "PixelData": pixels.tobytes(),
    }
    volume = read(write_dicom(radiographs(**tags)[:1]))
    np.testing.assert_array_equal(volume.voxels[:, :, 0].T.ravel(), 1023 - pixels)
    assert any("MONOCHROME1" in text for text in volume.warnings)


@pytest.mark.fault(19, "Q")
@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing"])
def test_spacing_of_zero(
    keyword: str, radiographs: Call, write_dicom: Write, refused: Call
) -> None:
    error = refused(write_dicom(radiographs(**{keyword: ["0", "1"]})[:1]))
    assert error.where.endswith(": PixelSpacing")
