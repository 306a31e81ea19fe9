"""Searches and reads folders in few words; builds enhanced, mosaic and compressed files."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from slicewise.errors import ScanError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Volume

ITK_COMPRESSORS = {JPEGLosslessSV1: "JPEG", JPEG2000Lossless: "JPEG2000"}
CSA_CREATOR = (0x0029, 0x0010)
CSA_IMAGE_HEADER = (0x0029, 0x1010)


@pytest.fixture
def refused(find: Callable[..., SeriesScan]) -> Callable[..., ScanError]:
    """The one reason why a path holds no volume."""

    def refused(path: Path, **reading: Any) -> ScanError:
        scan = find(path, **reading)
        assert not scan.series
        assert len(scan.set_aside) == 1
        return scan.set_aside[0]

    return refused


@pytest.fixture
def read(only: Callable[..., DicomSeries], sandbox: Sandbox) -> Callable[..., Volume]:
    """The one volume of a path where nothing is set aside."""

    def read(path: Path, **reading: Any) -> Volume:
        return read_series(only(path, **reading), sandbox)

    return read


@pytest.fixture
def read_all(find: Callable[..., SeriesScan], sandbox: Sandbox) -> Callable[..., list[Volume]]:
    """All volumes of a path where nothing is set aside."""

    def read_all(path: Path, **reading: Any) -> list[Volume]:
        scan = find(path, **reading)
        assert not scan.set_aside, scan.set_aside
        return [read_series(one, sandbox) for one in scan.series]

    return read_all


@pytest.fixture
def outcome_of(find: Callable[..., SeriesScan], sandbox: Sandbox) -> Callable[..., str]:
    """OK, W, Q or "no image"; what is no named error of a scan is not caught."""

    def outcome_of(path: Path, **reading: Any) -> str:
        scan = find(path, **reading)
        try:
            volumes = [read_series(series, sandbox) for series in scan.series]
        except ScanError:
            return "Q"
        if scan.set_aside:
            return "Q"
        if not volumes:
            return "no image"
        return "W" if any(volume.warnings for volume in volumes) else "OK"

    return outcome_of


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a result that is worth reading even if the test passes."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return say


@pytest.fixture
def enhanced(phantom: Any) -> Callable[..., FileDataset]:
    """One file whose frames are the named slices of the phantom, in that order."""
    usual = phantom
    return lambda order=range(5), phantom=usual, **tags: enhanced_object(phantom, order, tags)


@pytest.fixture
def mosaic(phantom: Any) -> Callable[..., FileDataset]:
    """One file whose image has the slices of the phantom as tiles, the first or the last first."""
    usual = phantom
    return lambda downwards=False, phantom=usual, **tags: mosaic_object(phantom, downwards, tags)


@pytest.fixture
def stored_as(tmp_path: Path) -> Callable[[FileDataset, UID], FileDataset]:
    """The same image, or the same frames, in another transfer syntax."""

    def stored_as(dataset: FileDataset, syntax: UID) -> FileDataset:
        if syntax in (RLELossless, JPEGLSLossless, JPEGLSNearLossless):
            dataset.compress(syntax, generate_instance_uid=False)
            return dataset
        pixels = dataset.pixel_array
        if syntax in ITK_COMPRESSORS:
            images = pixels if pixels.ndim == 3 else pixels[None]  # (frames, rows, columns)
            frames = [compressed_by_itk(image, syntax, tmp_path) for image in images]
            dataset.PixelData = encapsulate(frames)
            dataset["PixelData"].is_undefined_length = True
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = pixels.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        return dataset

    return stored_as


def compressed_by_itk(pixels: np.ndarray, syntax: UID, scratch: Path) -> bytes:
    target = scratch / "compressed.dcm"
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(target))
    writer.UseCompressionOn()
    writer.SetCompressor(ITK_COMPRESSORS[syntax])
    writer.Execute(SimpleITK.GetImageFromArray(pixels))
    (frame,) = generate_frames(pydicom.dcmread(target).PixelData, number_of_frames=1)
    target.unlink()
    return frame


def group(**tags: Any) -> list[Dataset]:
    """A functional group: a sequence of one item."""
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return [item]


def enhanced_object(phantom: Any, order: Sequence[int], tags: dict[str, Any]) -> FileDataset:
    slices = phantom.datasets()
    whole = slices[0]
    frames = [
        group(
            PlanePositionSequence=group(
                ImagePositionPatient=slices[number].ImagePositionPatient,
            ),
            FrameContentSequence=group(InStackPositionNumber=number + 1, StackID="1"),
        )[0]
        for number in order
    ]
    shared = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=whole.ImageOrientationPatient),
        PixelMeasuresSequence=group(
            PixelSpacing=whole.PixelSpacing, SliceThickness=whole.SliceThickness
        ),
    )
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "EchoTime",
    ):
        delattr(whole, keyword)
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    whole.NumberOfFrames = len(frames)
    whole.PixelData = b"".join(slices[number].PixelData for number in order)
    whole.SharedFunctionalGroupsSequence = shared
    whole.PerFrameFunctionalGroupsSequence = frames
    for keyword, value in tags.items():
        setattr(whole, keyword, value)
    return whole


def mosaic_object(phantom: Any, downwards: bool, tags: dict[str, Any]) -> FileDataset:
    side = 3  # tiles along each side: 2 x 2 would not hold five of them
    numbers = range(phantom.slices)[:: -1 if downwards else 1]
    image = np.zeros((side * phantom.rows, side * phantom.columns), dtype=np.int16)
    for tile, number in enumerate(numbers):
        top, left = tile // side * phantom.rows, tile % side * phantom.columns
        image[top : top + phantom.rows, left : left + phantom.columns] = phantom.voxels[
            :, :, number
        ].T
    row, column, normal = phantom.axes.T
    first_mm = phantom.origin_mm + numbers[0] * phantom.slice_spacing_mm * normal
    # Seen from the corner of the whole image, whose centre is that of every tile.
    corner_mm = (
        first_mm
        - row * phantom.column_spacing_mm * (side - 1) * phantom.columns / 2
        - column * phantom.row_spacing_mm * (side - 1) * phantom.rows / 2
    )
    dataset = phantom.datasets(
        ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        SpacingBetweenSlices=str(phantom.slice_spacing_mm),
        ImagePositionPatient=[f"{value:.10f}"[:16] for value in corner_mm],
        Rows=image.shape[0],
        Columns=image.shape[1],
        PixelData=image.tobytes(),
        SOPInstanceUID=generate_uid(),
    )[0]
    dataset.add_new(CSA_CREATOR, "LO", "SIEMENS CSA HEADER")
    header = csa_header(phantom.slices, -normal if downwards else normal)
    dataset.add_new(CSA_IMAGE_HEADER, "OB", header)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def csa_header(tiles: int, normal: Sequence[float]) -> bytes:
    """Siemens' private header, version 2, with the two facts that a mosaic needs."""
    count = _csa_tag("NumberOfImagesInMosaic", "US", [str(tiles)])
    direction = _csa_tag("SliceNormalVector", "FD", [f"{cosine:.8f}" for cosine in normal])
    return b"SV10\4\3\2\1" + struct.pack("<2I", 2, 77) + count + direction


def _csa_tag(name: str, kind: str, values: list[str]) -> bytes:
    # Items come six at a time, the empty ones too.
    items = [value.encode() + b"\0" for value in values] + [b""] * (6 - len(values))
    head = struct.pack("<64si4s3i", name.encode(), len(values), kind.encode(), 0, len(items), 77)
    return head + b"".join(
        struct.pack("<4i", len(item), len(item), 77, len(item)) + item + b"\0" * (-len(item) % 4)
        for item in items
    )
