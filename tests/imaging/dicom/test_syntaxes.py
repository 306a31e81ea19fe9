"""Every transfer syntax: the same voxels where it is lossless, a warning or an error elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from slicewise.errors import ScanError
from slicewise.imaging.dicom.pixels import Slice, decode_series
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

pytestmark = pytest.mark.filterwarnings("ignore:.*Big Endian.*", "ignore:.*odd length.*")

LOSSLESS = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEGLosslessSV1,
    JPEG2000Lossless,
]


@pytest.mark.fault(32, "OK")
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_lossless_syntaxes_give_the_same_voxels(
    syntax: UID, phantom: Any, write_dicom: Write, read: Call, stored_as: Call
) -> None:
    datasets = [stored_as(dataset, syntax) for dataset in phantom.datasets()]
    folder = write_dicom(datasets)
    written = {pydicom.dcmread(file).file_meta.TransferSyntaxUID for file in folder.iterdir()}
    assert written == {syntax}
    volume = read(folder)
    assert volume.voxels.dtype == np.int16
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    np.testing.assert_allclose(volume.affine, phantom.affine, atol=1e-6)
    assert volume.warnings == ()


@pytest.mark.fault(32, "OK")
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_lossless_frames_of_one_file(
    syntax: UID, enhanced: Call, phantom: Any, write_dicom: Write, read: Call, stored_as: Call
) -> None:
    whole = stored_as(enhanced([3, 1, 4, 0, 2]), syntax)
    np.testing.assert_array_equal(read(write_dicom([whole])).voxels, phantom.voxels)


@pytest.mark.fault(32, "OK")
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLosslessSV1], ids=lambda syntax: syntax.name)
def test_syntaxes_may_differ_inside_a_series(
    syntax: UID, phantom: Any, write_dicom: Write, read: Call, stored_as: Call
) -> None:
    datasets = phantom.datasets()
    stored_as(datasets[2], syntax)
    np.testing.assert_array_equal(read(write_dicom(datasets)).voxels, phantom.voxels)


# One image, stored by several programs; all lie in the wheel of pydicom.
SMALL_MR = [
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_padded.dcm",
    "MR_small_expb.dcm",
]


@pytest.mark.fault(32, "OK")
@pytest.mark.parametrize("name", SMALL_MR)
def test_files_of_other_writers(name: str, read: Call) -> None:
    plain = read(Path(get_testdata_file("MR_small.dcm", download=False)))
    other = read(Path(get_testdata_file(name, download=False)))
    assert plain.voxels.std() > 100
    np.testing.assert_array_equal(other.voxels, plain.voxels)
    np.testing.assert_array_equal(other.affine, plain.affine)


@pytest.mark.fault(33, "W")
def test_near_lossless_is_said(phantom: Any, write_dicom: Write, read: Call) -> None:
    datasets = phantom.datasets()
    for dataset in datasets:
        dataset.compress(JPEGLSNearLossless, jls_error=3, generate_instance_uid=False)
    volume = read(write_dicom(datasets))
    apart = np.abs(volume.voxels.astype(int) - phantom.voxels)
    assert 0 < apart.max() <= 3
    text = "lossy compression: grey values differ from the measured ones"
    assert volume.warnings == (text,)


@pytest.mark.fault(33, "W")
def test_lossy_past_of_an_uncompressed_image(phantom: Any, write_dicom: Write, read: Call) -> None:
    volume = read(write_dicom(phantom.datasets(LossyImageCompression="01")))
    np.testing.assert_array_equal(volume.voxels, phantom.voxels)
    assert "lossy compression" in volume.warnings[0]


@pytest.mark.fault(33, "W")
@pytest.mark.parametrize(
    "name", ["JPGExtended.dcm", "JPEG-lossy.dcm", "JPEG2000.dcm", "693_J2KI.dcm"]
)
def test_lossy_files_of_other_writers(name: str, sandbox: Sandbox, tmp_path: Path) -> None:
    # They are no slices with a place in a patient: their pixels are decoded without one.
    path = Path(get_testdata_file(name, download=False))
    image = SimpleITK.ReadImage(str(path))
    header = pydicom.dcmread(path, stop_before_pixels=True)
    target = tmp_path / "voxels.raw"
    one = [Slice(path, 0, 0)]
    sandbox.call(decode_series, one, (header.Columns, header.Rows), "float32", target, where=path)
    pixels = np.fromfile(target, np.float32).reshape(header.Rows, header.Columns)
    assert pixels.std() > 0
    np.testing.assert_allclose(pixels, SimpleITK.GetArrayFromImage(image)[0], atol=1e-3)


@pytest.mark.fault(34, "E")
@pytest.mark.parametrize(
    ("syntax", "remedy"),
    [
        (HTJ2KLossless, "pylibjpeg-openjpeg"),
        ("1.2.840.10008.1.2.4.110", "export the series uncompressed"),  # JPEG XL
        ("1.2.840.10008.1.2.4.102", "export the series uncompressed"),  # MPEG-4
        ("1.2.3.4", "export the series uncompressed"),
    ],
)
def test_missing_decoder_is_named(
    syntax: str, remedy: str, phantom: Any, write_dicom: Write, read: Call
) -> None:
    datasets = phantom.datasets()
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
        dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(40)])
        dataset["PixelData"].is_undefined_length = True
    folder = write_dicom(datasets)
    for file in folder.iterdir():
        # pydicom writes no syntax that it does not know.
        name = HTJ2KLossless.encode() + b"\0"
        file.write_bytes(file.read_bytes().replace(name, syntax.encode().ljust(len(name), b"\0")))
    with pytest.raises(ScanError) as caught:
        read(folder)
    assert caught.value.where.endswith(".dcm: TransferSyntaxUID")
    assert caught.value.expected.startswith("a decoder for ")
    assert remedy in caught.value.remedy


@pytest.mark.data
@pytest.mark.fault(32, "OK")
def test_one_mosaic_in_seven_syntaxes(test_data: Path, sandbox: Sandbox) -> None:
    scan = DicomScanner(sandbox=sandbox).find(test_data / "dcm_qa_ts" / "In")
    assert not scan.set_aside
    files = [pydicom.dcmread(series.files[0], specific_tags=[]) for series in scan.series]
    assert len(files) == 9
    assert len({file.file_meta.TransferSyntaxUID for file in files}) == 7
    first, *others = [read_series(series, sandbox) for series in scan.series]
    for other in others:
        np.testing.assert_array_equal(other.voxels, first.voxels)
        np.testing.assert_array_equal(other.affine, first.affine)


@pytest.mark.data
@pytest.mark.fault(32, "OK")
@pytest.mark.parametrize("name", ["", "_rle", "_jpeg", "_jpegls", "_j2k"])
def test_real_compressed_series(name: str, test_data: Path, read: Call) -> None:
    folder = test_data / "dicom2nifti" / "generic" / f"compressed{name}" / "001"
    truth = nib.load(f"{folder}_ground_truth.nii.gz")
    ours = read(folder).reoriented("RAS")
    theirs = Volume(np.asanyarray(truth.dataobj), truth.affine).reoriented("RAS")
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=2e-4)
    np.testing.assert_array_equal(ours.voxels, theirs.voxels)


@pytest.mark.fault(34, "E")
def test_no_transfer_syntax(phantom: Any, write_dicom: Write, read: Call) -> None:
    folder = write_dicom(phantom.datasets())
    element = b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
    for file in folder.iterdir():
        content = file.read_bytes()
        assert element in content
        # Another element of the same length takes its place.
        file.write_bytes(content.replace(element, b"\x02\0\x12" + element[3:]))
    with pytest.raises(ScanError):
        read(folder)
