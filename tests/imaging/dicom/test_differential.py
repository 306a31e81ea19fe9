"""Every real series against other programs and against the references that came with the data.

Where two disagree, the table says who is right and why; a listed disagreement that vanishes is as
much a failure as a new one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dcm2niix
import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.volume import Volume

pytestmark = pytest.mark.data

EQUAL_VOXELS = 0.999
RELATIVE_TOLERANCE = 1e-5  # of the range of values
AFFINE_TOLERANCE_MM = 1e-3

ROOTS = (
    "dcm_qa_nih/In",
    "dcm_qa_ts/In",
    "dicom",
    "dicom2nifti",
    "sunnybrook/SCD0000101",
)

REFUSED = "we refuse what is no regular upright stack, and say why"
DISAGREEMENTS = {
    ("dicom2nifti/generic/anatomical/002_non_isotropic", "dcm2niix"): "each slice has a slope of "
    "its own; dcm2niix takes that of the first one for all. The reference and we are right.",
    ("dicom2nifti/failing/gantrytilting/001", "dcm2niix"): f"tilted: {REFUSED}; dcm2niix offers "
    "a stack with a lost tilt and another one that is sheared.",
    ("dicom2nifti/failing/notavolume/001", "dcm2niix"): "four images at one place, of no stated "
    f"thickness: {REFUSED}; dcm2niix makes a time series of it.",
    ("dicom2nifti/failing/sliceincrement/001", "dcm2niix"): f"a slice is missing: {REFUSED}; "
    "dcm2niix closes the gap, and offers an interpolated stack.",
    ("dicom2nifti/failing/sliceincrement/002", "dcm2niix"): f"a slice is missing: {REFUSED}; "
    "dcm2niix closes the gap, and offers an interpolated stack.",
    ("dicom2nifti/failing/sliceincrement/002", "reference"): "the reference is that "
    "interpolated stack.",
    ("dicom2nifti/ge/anatomical/001_single_slice", "dcm2niix"): "one slice of no stated "
    f"thickness: {REFUSED}; dcm2niix invents 1 mm.",
    ("dicom2nifti/ge/anatomical/001_single_slice", "reference"): "one slice of no stated "
    "thickness; the reference invents 1 mm.",
    ("dicom2nifti/generic/rgb/001", "dcm2niix"): "colours are no grey values: we refuse them.",
    ("dicom2nifti/generic/rgb/001", "reference"): "colours are no grey values: we refuse them.",
}

FOLDERS = (
    "dcm_qa_nih/In/20180918GE/mr_0004",
    "dcm_qa_nih/In/20180918GE/mr_0005",
    "dcm_qa_nih/In/20180918GE/mr_0006",
    "dcm_qa_nih/In/20180918GE/mr_0007",
    "dcm_qa_nih/In/20180918Si/mr_0003",
    "dcm_qa_nih/In/20180918Si/mr_0004",
    "dcm_qa_nih/In/20180918Si/mr_0005",
    "dcm_qa_nih/In/20180918Si/mr_0006",
    "dcm_qa_ts/In",
    "dicom/Study1/12-T1post-05670",
    "dicom/Study1/13_HCropVolume",
    "dicom/Study2/14_HCropVolume",
    "dicom/Study3/11-T1post-18670",
    "dicom/Study3/11_HCropVolume",
    "dicom/Study3/26401-T1prereg-52906",
    "dicom/Study3/36468-FLAIRreg-58706",
    "dicom/Study3/37830-T2reg-78532",
    "dicom2nifti/anatomical/001",
    "dicom2nifti/anatomical/001_implicit",
    "dicom2nifti/failing/gantrytilting/001",
    "dicom2nifti/failing/notavolume/001",
    "dicom2nifti/failing/slicecount/001",
    "dicom2nifti/failing/sliceincrement/001",
    "dicom2nifti/failing/sliceincrement/002",
    "dicom2nifti/failing/sliceorientation/001",
    "dicom2nifti/ge/anatomical/001",
    "dicom2nifti/ge/anatomical/001_implicit",
    "dicom2nifti/ge/anatomical/001_single_slice",
    "dicom2nifti/generic/anatomical/001",
    "dicom2nifti/generic/anatomical/001_implicit",
    "dicom2nifti/generic/anatomical/002_non_isotropic",
    "dicom2nifti/generic/compressed/001",
    "dicom2nifti/generic/compressed_j2k/001",
    "dicom2nifti/generic/compressed_jpeg/001",
    "dicom2nifti/generic/compressed_jpegls/001",
    "dicom2nifti/generic/compressed_rle/001",
    "dicom2nifti/generic/rgb/001",
    "dicom2nifti/hitachi/anatomical/001",
    "dicom2nifti/hitachi/anatomical/001_implicit",
    "dicom2nifti/hyperfine/anatomical/001",
    "dicom2nifti/philips/anatomical/001",
    "dicom2nifti/philips/anatomical/001_implicit",
    "dicom2nifti/philips/anatomical/002",
    "dicom2nifti/philips_enhanced/anatomical/001",
    "dicom2nifti/philips_enhanced/anatomical/001_implicit",
    "dicom2nifti/siemens/anatomical/001",
    "dicom2nifti/siemens/anatomical/001_implicit",
    "dicom2nifti/siemens_multiframe/anatomical/001",
    "sunnybrook/SCD0000101",
)
OF_REFERENCES = {
    "dcm_qa_nih/In/20180918GE/mr_0004": "DCM2NIIX_regression_test_4.nii",
    "dcm_qa_nih/In/20180918GE/mr_0005": "DCM2NIIX_regression_test_5.nii",
    "dcm_qa_nih/In/20180918GE/mr_0006": "DCM2NIIX_regression_test_6.nii",
    "dcm_qa_nih/In/20180918GE/mr_0007": "DCM2NIIX_regression_test_7.nii",
    "dcm_qa_nih/In/20180918Si/mr_0003": "EPI_PE=AP_3.nii",
    "dcm_qa_nih/In/20180918Si/mr_0004": "EPI_PE=PA_4.nii",
    "dcm_qa_nih/In/20180918Si/mr_0005": "EPI_PE=RL_5.nii",
    "dcm_qa_nih/In/20180918Si/mr_0006": "EPI_PE=LR_6.nii",
    "dcm_qa_ts/In": "*.nii",
}


@pytest.fixture
def search(test_data: Path, sandbox: Sandbox) -> Callable[[str], SeriesScan]:
    return lambda folder: DicomScanner(sandbox=sandbox).find(test_data / folder)


def test_every_folder_of_the_data_is_compared(test_data: Path) -> None:
    found = {
        os.path.relpath(parent, test_data)
        for root in ROOTS
        for parent, folders, files in os.walk(test_data / root)
        if files and not folders and "Ref" not in Path(parent).parts
    }
    assert found == set(FOLDERS)
    assert {folder for folder, _ in DISAGREEMENTS} <= found


@pytest.mark.parametrize("folder", FOLDERS)
def test_dcm2niix(
    folder: str, test_data: Path, search: Any, sandbox: Sandbox, tmp_path: Path
) -> None:
    program = Path(dcm2niix.__file__).parent / "dcm2niix"
    # No sidecar, no compression, and Philips scaled as the standard has it.
    options = ["-b", "n", "-z", "n", "-p", "n", "-o", str(tmp_path)]
    subprocess.run([program, *options, str(test_data / folder)], capture_output=True, check=False)
    theirs = list(volumes_in(sorted(tmp_path.glob("*.nii"))))
    assert theirs
    verdict(folder, "dcm2niix", problems(search(folder), theirs, sandbox))


def with_references() -> list[str]:
    without = (
        "dicom2nifti/failing/",
        "dicom2nifti/philips/anatomical/002",
        "dicom/",
        "sunnybrook/",
    )
    failing = ("slicecount/001", "sliceincrement/002")
    return [one for one in FOLDERS if not one.startswith(without) or one.endswith(failing)]


@pytest.mark.parametrize("folder", with_references())
def test_references(folder: str, test_data: Path, search: Any, sandbox: Sandbox) -> None:
    if folder in OF_REFERENCES:
        root = test_data / folder.partition("/In")[0] / "Ref"
        paths = sorted(root.glob(OF_REFERENCES[folder]))
    else:
        paths = [test_data / f"{folder}_ground_truth.nii.gz"]
    theirs = list(volumes_in(paths))
    assert theirs
    verdict(folder, "reference", problems(search(folder), theirs, sandbox))


@pytest.mark.parametrize("folder", FOLDERS)
def test_simpleitk(folder: str, search: Any, sandbox: Sandbox) -> None:
    for series in search(folder).series:
        if series.tiles or len(set(series.members)) < len(series.members):
            continue  # of mosaics and multi-frame objects it does not know the slices
        volume = read_series(series, sandbox)
        for number, path in enumerate(series.files):
            image = SimpleITK.ReadImage(str(path))
            pixels = SimpleITK.GetArrayViewFromImage(image)[0].T  # (columns, rows)
            np.testing.assert_allclose(volume.voxels[:, :, number], pixels, rtol=1e-6, atol=1e-4)
            place_of_slice(series, image, number)


def place_of_slice(series: DicomSeries, image: Any, number: int) -> None:
    columns, rows, _ = series.shape
    for corner in ((0, 0), (columns - 1, 0), (0, rows - 1)):
        lps_mm = np.array(image.TransformIndexToPhysicalPoint((*corner, 0)))
        ours_mm = series.affine @ [*corner, number, 1]
        np.testing.assert_allclose(ours_mm[:3], lps_mm * [-1, -1, 1], atol=1e-3)


def volumes_in(paths: list[Path]) -> Iterator[Volume]:
    for path in paths:
        image = nib.load(path)
        voxels = np.asanyarray(image.dataobj)
        if voxels.dtype.names:
            voxels = np.stack([voxels[name] for name in voxels.dtype.names], axis=-1)
        for volume in np.moveaxis(voxels.reshape(*voxels.shape[:3], -1), 3, 0):
            yield Volume(volume, image.affine, path.name).reoriented("RAS")


def problems(scan: SeriesScan, theirs: list[Volume], sandbox: Sandbox) -> list[str]:
    """What the others have and we do not, and the other way round."""
    found = [f"set aside: {error.reason}" for error in scan.set_aside]
    matched: set[int] = set()
    for series in scan.series:
        ours = read_series(series, sandbox).reoriented("RAS")
        same = {number for number, other in enumerate(theirs) if agree(ours, other)}
        matched |= same
        found += [] if same else [f"ours alone: {series.name}"]
    alone = [theirs[number].name for number in range(len(theirs)) if number not in matched]
    return found + [f"theirs alone: {name}" for name in alone]


def agree(ours: Volume, theirs: Volume) -> bool:
    if ours.shape != theirs.shape:
        return False
    if np.abs(ours.affine - theirs.affine).max() > AFFINE_TOLERANCE_MM:
        return False
    expected = theirs.voxels.astype(np.float64)
    tolerance = RELATIVE_TOLERANCE * max(float(np.ptp(expected)), 1.0)
    return bool((np.abs(ours.voxels - expected) <= tolerance).mean() >= EQUAL_VOXELS)


def verdict(folder: str, against: str, found: list[str]) -> None:
    reason = DISAGREEMENTS.get((folder, against))
    if reason is None:
        assert not found, found
    else:
        assert found, f"agrees now, so that this is no longer true: {reason}"
