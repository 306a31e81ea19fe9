"""Other programs find our DICOM SEG valid, and its voxels where those of the NIfTI mask lie."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from slicewise.errors import ScanError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.reading import read_segmentation
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.writing import write_mask
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Export = Callable[..., Path]

LPS_TO_RAS = np.diag([-1, -1, 1, 1])
STRUCTURES = [Structure("lesion", 1, "#E69F00"), Structure("flux capacitor", 4, "#0072B2")]


@pytest.fixture
def export(tmp_path: Path, sandbox: Sandbox) -> Export:
    """Write labels of a series, a few voxels by default."""

    def export(
        series: DicomSeries,
        labels: NDArray[Any] | None = None,
        mode: IdentityMode = IdentityMode.PSEUDONYM,
    ) -> Path:
        if labels is None:
            labels = np.zeros(series.shape, dtype=np.uint8)
            labels[2:5, 1:4, -1], labels[6, 3, 0] = 1, 4
        path = tmp_path / "mask.dcm"
        identity = Identity(mode, Pseudonyms.of(tmp_path))
        mask = Volume(labels, series.affine)
        algorithm = Algorithm("unet", "1")
        write_segmentation(mask, series, STRUCTURES, algorithm, path, identity, sandbox)
        return path

    return export


def errors_of(path: Path) -> set[str]:
    """What dciodvfy objects to; of a value that it finds invalid, only the value."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian package dicom3tools)")
    said = subprocess.run([program, path], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    assert any(re.fullmatch(r"Segmentation|\w+Image\w*", line) for line in lines), lines
    errors = {line for line in lines if line.startswith("Error")}
    return {re.sub(r".*invalid for this VR.*= <(.*)>.*", r"\1", error) for error in errors}


@pytest.mark.fault(96, "OK")
@pytest.mark.parametrize("mode", IdentityMode)
def test_dciodvfy_finds_no_error(
    phantom: Any, write_dicom: Write, only: Only, export: Export, mode: IdentityMode
) -> None:
    tags = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    series = only(write_dicom(phantom.datasets(**tags, PatientID="a", PatientSex="O")))
    assert errors_of(export(series, mode=mode)) == set()
    assert errors_of(export(series, np.zeros(series.shape), mode)) == set()


@pytest.mark.fault(96, "OK")
def test_dciodvfy_finds_no_error_in_the_mask_of_enhanced_frames_or_a_radiograph(
    phantom: Any,
    write_dicom: Write,
    find: Callable[..., Any],
    enhanced: Callable[..., FileDataset],
    export: Export,
) -> None:
    radiograph = phantom.datasets(
        SOPClassUID=ComputedRadiographyImageStorage,
        StudyInstanceUID=generate_uid(),
        SeriesInstanceUID=generate_uid(),
    )[0]
    radiograph.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    frames = enhanced(StudyInstanceUID=generate_uid(), FrameOfReferenceUID=generate_uid())
    found = find(write_dicom([radiograph, frames])).series
    assert len(found) == 2
    for series in found:
        assert errors_of(export(series)) == set()


def centre_mm(mask: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return (np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)


def itk_centre_mm(path: Path) -> NDArray[np.float64]:
    """RAS+ centre of the voxels of any file that ITK reads."""
    image = SimpleITK.ReadImage(str(path))
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return centre_mm(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), LPS_TO_RAS @ lps)


@pytest.mark.data
@pytest.mark.fault(96, "OK")
def test_ball_in_an_oblique_scan_lies_in_one_place_for_everybody(
    test_data: Path, only: Only, export: Export, sandbox: Sandbox, tmp_path: Path
) -> None:
    series = only(test_data / "dicom" / "Study1" / "12-T1post-05670")
    scan = read_series(series, sandbox)
    wanted_mm = scan.world_position_mm(np.array([301.3, 187.6, 9.4]))
    indices = np.stack(np.indices(scan.shape), axis=-1)
    distance_mm = np.linalg.norm(scan.world_position_mm(indices) - wanted_mm, axis=-1)
    ball = (distance_mm < 17).astype(np.uint8)
    expected_mm = centre_mm(ball, scan.affine)
    assert np.linalg.norm(expected_mm - wanted_mm) < 1.5  # half of a slice at most

    write_mask(scan.with_voxels(ball), scan, tmp_path / "ball.nii.gz")
    path = export(series, ball)
    nifti = nib.load(tmp_path / "ball.nii.gz")
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    found_mm = {
        "nibabel": centre_mm(np.asarray(nifti.dataobj), nifti.affine),
        "SimpleITK, NIfTI": itk_centre_mm(tmp_path / "ball.nii.gz"),
        "SimpleITK, SEG": itk_centre_mm(path),
        "highdicom": centre_mm(volume.array, LPS_TO_RAS @ volume.affine),
    }
    for reader, centre in found_mm.items():
        np.testing.assert_allclose(centre, expected_mm, atol=0.01, err_msg=reader)
    assert errors_of(path) == set()


@pytest.mark.data
@pytest.mark.parametrize(
    "folder",
    [
        "sunnybrook",
        "dicom2nifti/philips_enhanced/anatomical/001",
        "dicom2nifti/siemens_multiframe/anatomical/001",
        "dicom2nifti/hyperfine/anatomical/001",
        "dicom2nifti/generic/compressed_jpegls/001",
    ],
)
@pytest.mark.parametrize("mode", IdentityMode)
def test_real_scans_of_every_kind_are_labelled_and_read_again(
    test_data: Path, export: Export, sandbox: Sandbox, folder: str, mode: IdentityMode
) -> None:
    series = DicomScanner(sandbox=sandbox).find(test_data / folder).series[0]
    labels = np.zeros(series.shape, dtype=np.uint8)
    labels[10:20, 5:30, 1], labels[30:33, 7, -1] = 1, 4
    path = export(series, labels, mode)
    image = Volume(labels, series.affine)
    np.testing.assert_array_equal(read_segmentation(path, image, sandbox).voxels, labels)
    of_the_source = set().union(*(errors_of(file) for file in set(series.files)))
    assert errors_of(path) <= of_the_source


@pytest.mark.data
@pytest.mark.slow
def test_hostile_files_are_refused_or_none(test_data: Path, sandbox: Sandbox) -> None:
    files = sorted(path for path in (test_data / "hostile_dicom").rglob("*") if path.is_file())
    assert len(files) > 400
    refused = 0
    for path in files:
        for read in (read_segmentation,):
            try:
                assert read(path, sandbox=sandbox) is None
            except ScanError:
                refused += 1
    assert refused >= len(files)
