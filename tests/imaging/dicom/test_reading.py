"""Grey values of a DICOM series: exact where they can be, an error where they cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import FileDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from pipeline.errors import ScanError
from pipeline.imaging.dicom.reading import read_series
from pipeline.imaging.dicom.scanner import DicomScanner
from pipeline.imaging.dicom.series import DicomSeries
from pipeline.imaging.sandbox import ChildDiedError, Sandbox
from pipeline.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]


def series_in(folder: Path, sandbox: Sandbox) -> DicomSeries:
    scan = DicomScanner(sandbox=sandbox).find(folder)
    assert not scan.set_aside, scan.set_aside
    assert len(scan.series) == 1
    return scan.series[0]


def read(folder: Path, sandbox: Sandbox) -> Volume:
    return read_series(series_in(folder, sandbox), sandbox)


def test_integers_stay_what_they_are(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    volume = read(write_dicom(phantom.datasets()[::-1]), sandbox)
    assert volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.header is None
    assert volume.warnings == ()


def test_each_slice_has_its_own_rescale(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets[1:], start=1):
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + number / 4), str(-number)
    volume = read(write_dicom(datasets), sandbox)
    assert volume.voxels.dtype == np.float32
    numbers = np.arange(5)
    expected = (phantom.voxels * (1 + numbers / 4) - numbers).astype(np.float32)
    np.testing.assert_array_equal(volume.voxels, expected)


def test_monochrome1_is_inverted_once(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    tags = {
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelRepresentation": 0,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelData": np.arange(77, dtype=np.uint16).tobytes(),
    }
    volume = read(write_dicom(phantom.datasets(**tags)), sandbox)
    assert volume.voxels.dtype == np.uint16
    np.testing.assert_array_equal(volume.voxels[:, :, 2].T.ravel(), 4095 - np.arange(77))
    assert any("MONOCHROME1" in text for text in volume.warnings)


def test_bits_above_the_stored_ones_are_cleared(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    # Twelve bits of -5 are 0xFFB; the four bits above hold an overlay.
    pixels = np.full(77, 0x3FFB, dtype=np.uint16).tobytes()
    tags = {"BitsStored": 12, "HighBit": 11, "PixelData": pixels}
    volume = read(write_dicom(phantom.datasets(**tags)), sandbox)
    np.testing.assert_array_equal(volume.voxels, np.full((11, 7, 5), -5))
    assert "every voxel has the value -5" in volume.warnings


@pytest.mark.filterwarnings("ignore:.*Big Endian.*", "ignore:.*odd length.*")
@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
)
def test_lossless_syntaxes_give_the_same_voxels(
    syntax: str, phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        if syntax == RLELossless:
            dataset.compress(RLELossless)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = phantom.voxels[:, :, number].T.astype(">i2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(read(write_dicom(datasets), sandbox).voxels, phantom.voxels)


def test_truncated_pixels_name_their_file(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    series = series_in(write_dicom(phantom.datasets()), sandbox)
    damaged = series.files[3]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(ScanError, match="truncated or damaged") as caught:
        read_series(series, sandbox)
    assert caught.value.where == str(damaged)


class DyingSandbox(Sandbox):
    """Its child decodes two slices and a half, then dies."""

    def call(self, *arguments: Any, where: Any, **_: Any) -> Any:
        arguments[-1].write_bytes(bytes(int(2.5 * 2 * 11 * 7)))
        raise ChildDiedError(where, expected="life", found="SIGFPE", remedy="none")


def test_death_of_the_decoder_names_the_slice(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    series = series_in(write_dicom(phantom.datasets()), sandbox)
    with pytest.raises(ScanError, match="SIGFPE") as caught:
        read_series(series, DyingSandbox())
    assert caught.value.where == str(series.files[2])


def test_a_changed_file_is_noticed(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    series = series_in(write_dicom(phantom.datasets()), sandbox)
    with pytest.raises(ScanError, match="changed since it was scanned"):
        read_series(replace(series, shape=(7, 11, 5)), sandbox)


def test_overflowing_rescale_is_refused(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    tags = {"RescaleSlope": "1e300", "RescaleIntercept": "0"}
    with pytest.raises(ScanError, match="NaN or infinite"):
        read(write_dicom(phantom.datasets(**tags)), sandbox)


@pytest.mark.data
def test_hippocampus_crop(test_data: Path, sandbox: Sandbox) -> None:
    volume = read(test_data / "dicom" / "Study1" / "13_HCropVolume", sandbox)
    assert volume.shape == (35, 51, 32)
    np.testing.assert_allclose(volume.spacing_mm, 1, atol=1e-4)


@pytest.mark.data
def test_oblique_series_agrees_with_simpleitk(test_data: Path, sandbox: Sandbox) -> None:
    series = series_in(test_data / "dicom" / "Study1" / "12-T1post-05670", sandbox)
    volume = read_series(series, sandbox)
    image = SimpleITK.ReadImage([str(path) for path in series.files])
    stored = SimpleITK.GetArrayFromImage(image)  # (slices, rows, columns)
    np.testing.assert_array_equal(volume.voxels, stored.transpose(2, 1, 0))
    for index in [(0, 0, 0), (511, 0, 0), (0, 511, 21), (511, 511, 21)]:
        lps_mm = np.array(image.TransformIndexToPhysicalPoint(index))
        ras_mm = volume.world_position_mm(np.array(index))
        np.testing.assert_allclose(ras_mm, lps_mm * [-1, -1, 1], atol=1e-2)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "ge/anatomical/001",
        "siemens/anatomical/001",
        "philips/anatomical/001",
        "hitachi/anatomical/001",
        "generic/anatomical/002_non_isotropic",
        "generic/compressed_j2k/001",
        "generic/compressed_jpeg/001",
        "generic/compressed_jpegls/001",
        "generic/compressed_rle/001",
    ],
)
def test_agrees_with_reference_nifti(name: str, test_data: Path, sandbox: Sandbox) -> None:
    folder = test_data / "dicom2nifti" / name
    truth = nib.load(f"{folder}_ground_truth.nii.gz")
    ours = read(folder, sandbox).reoriented("RAS")
    theirs = Volume(np.asanyarray(truth.dataobj), truth.affine).reoriented("RAS")
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=2e-4)
    np.testing.assert_allclose(ours.voxels, theirs.voxels, atol=1e-5)
