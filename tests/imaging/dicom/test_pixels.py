"""Grey values: exact where they can be, warned about where they changed, otherwise refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset

from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.imaging.scan import read_scan

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

TWELVE_BITS = {"BitsStored": 12, "HighBit": 11}
RAMP = np.arange(77, dtype=np.uint16)


@pytest.mark.fault(30, "OK")
def test_signed_integers_stay_what_they_are(phantom: Any, write_dicom: Write, read: Call) -> None:
    volume = read(write_dicom(phantom.datasets()[::-1]))
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.min() == -100
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert volume.header is None
    assert volume.warnings == ()


@pytest.mark.fault(30, "OK")
@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
def test_every_integer_type_keeps_its_extremes(
    name: str, phantom: Any, write_dicom: Write, read: Call
) -> None:
    limits = np.iinfo(name)
    pixels = np.linspace(limits.min, limits.max, 77).astype(name)
    tags = {
        "BitsAllocated": limits.bits,
        "BitsStored": limits.bits,
        "HighBit": limits.bits - 1,
        "PixelRepresentation": int(limits.min < 0),
        "PixelData": pixels.tobytes() + b"\0" * (pixels.nbytes % 2),
    }
    volume = read(write_dicom(phantom.datasets(**tags)))
    assert volume.voxels.dtype == name
    np.testing.assert_array_equal(volume.voxels[:, :, 2].T.ravel(), pixels)
    assert (volume.voxels.min(), volume.voxels.max()) == (limits.min, limits.max)


@pytest.mark.fault(27, "OK")
def test_each_slice_has_its_own_rescale(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets[1:], start=1):
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + number / 4), str(-number)
    volume = read(write_dicom(datasets))
    assert volume.voxels.dtype == np.float32
    numbers = np.arange(5)
    expected = (phantom.voxels * (1 + numbers / 4) - numbers).astype(np.float32)
    np.testing.assert_array_equal(volume.voxels, expected)


@pytest.mark.fault(27, "OK")
def test_negative_slope_turns_the_values_round(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    tags = {"RescaleSlope": "-2", "RescaleIntercept": "10"}
    voxels = read(write_dicom(phantom.datasets(**tags))).voxels
    np.testing.assert_array_equal(voxels, 10 - 2.0 * phantom.voxels)


@pytest.mark.fault(27, "OK")
def test_rescale_by_one_keeps_integers(phantom: Any, write_dicom: Write, read: Call) -> None:
    tags = {"RescaleSlope": "1.0", "RescaleIntercept": "0"}
    assert read(write_dicom(phantom.datasets(**tags))).voxels.dtype == np.int16


@pytest.mark.fault(28, "W")
def test_philips_private_scaling_is_not_applied(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets(
        Manufacturer="Philips Medical Systems", RescaleSlope="2", RescaleIntercept="-50"
    )
    for dataset in datasets:
        block = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 0.0125)
    volume = read(write_dicom(datasets))
    np.testing.assert_array_equal(volume.voxels, 2.0 * phantom.voxels - 50)
    text = "Philips: the standard rescale is applied, not the private scaling"
    assert volume.warnings == (text,)


@pytest.mark.fault(29, "W")
def test_monochrome1_is_inverted_once(phantom: Any, write_dicom: Write, read: Call) -> None:
    tags = TWELVE_BITS | {
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelRepresentation": 0,
        "PixelData": RAMP.tobytes(),
    }
    volume = read(write_dicom(phantom.datasets(**tags)))
    assert volume.voxels.dtype == np.uint16
    np.testing.assert_array_equal(volume.voxels[:, :, 2].T.ravel(), 4095 - RAMP)
    text = "MONOCHROME1: grey values were inverted"
    assert volume.warnings == (text,)


@pytest.mark.fault(29, "W")
@pytest.mark.fault(30, "OK")
def test_signed_monochrome1(phantom: Any, write_dicom: Write, read: Call) -> None:
    # Of twelve bits, -2048 becomes 2047 and the other way round.
    pixels = np.where(RAMP % 2, 2047, -2048).astype(np.int16)
    tags = TWELVE_BITS | {
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelData": (pixels & 0xFFF).tobytes(),
    }
    voxels = read(write_dicom(phantom.datasets(**tags))).voxels
    np.testing.assert_array_equal(voxels[:, :, 2].T.ravel(), np.where(RAMP % 2, -2048, 2047))


@pytest.mark.fault(29, "W")
def test_monochrome1_is_inverted_before_it_is_rescaled(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    tags = TWELVE_BITS | {
        "PhotometricInterpretation": "MONOCHROME1",
        "PixelRepresentation": 0,
        "RescaleSlope": "2",
        "RescaleIntercept": "5",
        "PixelData": RAMP.tobytes(),
    }
    voxels = read(write_dicom(phantom.datasets(**tags))).voxels
    np.testing.assert_array_equal(voxels[:, :, 0].T.ravel(), 2 * (4095.0 - RAMP) + 5)


@pytest.mark.fault(31, "OK")
@pytest.mark.fault(37, "OK")
@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_the_stored_ones_are_cleared(
    signed: int, phantom: Any, write_dicom: Write, read: Call
) -> None:
    values = np.where(RAMP % 2, 1000, -5 if signed else 4000).astype(np.int16)
    # An overlay lies in the four high bits of every third pixel.
    dirty = (values & 0xFFF) | np.where(RAMP % 3, 0, 0x3000).astype(np.int16)
    tags = TWELVE_BITS | {"PixelRepresentation": signed, "PixelData": dirty.tobytes()}
    voxels = read(write_dicom(phantom.datasets(**tags))).voxels
    assert voxels.dtype == ("int16" if signed else "uint16")
    np.testing.assert_array_equal(voxels[:, :, 4].T.ravel(), values)


@pytest.mark.fault(37, "OK")
def test_bits_below_the_stored_ones_are_cleared(
    phantom: Any, write_dicom: Write, read: Call
) -> None:
    shifted = (RAMP << 4) | 0b1010
    tags = {
        "BitsStored": 12,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "PixelData": shifted.tobytes(),
    }
    voxels = read(write_dicom(phantom.datasets(**tags))).voxels
    np.testing.assert_array_equal(voxels[:, :, 4].T.ravel(), RAMP)


@pytest.mark.fault(38, "W")
def test_volume_of_one_value(phantom: Any, write_dicom: Write, read: Call) -> None:
    pixels = np.full(77, -5, dtype=np.int16).tobytes()
    volume = read(write_dicom(phantom.datasets(PixelData=pixels)))
    np.testing.assert_array_equal(volume.voxels, np.full((11, 7, 5), -5))
    assert volume.warnings == ("every voxel has the value -5",)


@pytest.mark.fault(39, "Q")
@pytest.mark.parametrize(
    "tags",
    [
        {"RescaleSlope": "1e300", "RescaleIntercept": "0"},
        {"RescaleSlope": "1", "RescaleIntercept": "-1e39"},
    ],
)
def test_overflowing_rescale_is_refused(
    tags: dict[str, str], phantom: Any, write_dicom: Write, read: Call
) -> None:
    with pytest.raises(ScanError, match="NaN or infinite"):
        read(write_dicom(phantom.datasets(**tags)))


@pytest.mark.fault(40, "Q")
@pytest.mark.parametrize("padding", [-100, 0, 2047])
def test_nothing_but_padding(padding: int, phantom: Any, write_dicom: Write, read: Call) -> None:
    pixels = np.full(77, padding, dtype=np.int16).tobytes()
    tags = {"PixelPaddingValue": padding, "PixelData": pixels}
    with pytest.raises(ScanError, match="padding in every pixel") as caught:
        read(write_dicom(phantom.datasets(**tags)))
    assert caught.value.where.endswith(": PixelPaddingValue")


@pytest.mark.fault(40, "Q")
def test_negative_padding_of_twelve_bits(phantom: Any, write_dicom: Write, read: Call) -> None:
    pixels = np.full(77, -2000 & 0xFFF, dtype=np.uint16).tobytes()
    tags = TWELVE_BITS | {"PixelPaddingValue": -2000, "PixelData": pixels}
    with pytest.raises(ScanError, match="padding in every pixel"):
        read(write_dicom(phantom.datasets(**tags)))


def test_padding_beside_tissue_is_left_alone(phantom: Any, write_dicom: Write, read: Call) -> None:
    voxels = read(write_dicom(phantom.datasets(PixelPaddingValue=-100))).voxels
    np.testing.assert_array_equal(voxels, phantom.voxels)


@pytest.mark.fault(38, "W")
def test_slice_of_one_value(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    datasets[2].PixelData = bytes(2 * 77)
    assert "1 of 5 slices are constant" in read(write_dicom(datasets)).warnings


def test_padding_of_several_values(phantom: Any, write_dicom: Write, read: Call) -> None:
    tags = {"PixelPaddingValue": [-100, -101, 7]}
    np.testing.assert_array_equal(
        read(write_dicom(phantom.datasets(**tags))).voxels, phantom.voxels
    )


@pytest.mark.fault(39, "W")
def test_infinite_voxels_are_filled_on_request(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    datasets = phantom.datasets()
    datasets[2].RescaleSlope, datasets[2].RescaleIntercept = "1e300", "0"
    series = only(write_dicom(datasets), non_finite="zero")
    voxels = read_scan(series, ReadingSection(non_finite="zero")).voxels
    assert np.isfinite(voxels).all()
