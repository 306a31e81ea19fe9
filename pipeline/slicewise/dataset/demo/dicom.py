"""Writes synthetic volumes as classic single-frame DICOM MR series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from slicewise.errors import OutputError, file_problem
from slicewise.imaging.volume import Volume

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0])
SYNTHETIC = "SYNTHETIC: made from a template, no patient was scanned"


def write_dicom_series(volume: Volume, folder: Path, identity: str) -> None:
    """Write one file per slice, ``0001.dcm`` and so on, in the order of k.

    Args:
        volume: uint16 voxels, shape (columns, rows, slices); the axes of the affine are orthogonal
            and right-handed in LPS.
        folder: created if missing.
        identity: from which all UIDs are derived; the output is deterministic.

    Raises:
        OutputError: the files cannot be written.

    Source:
        DICOM PS3.3, C.7.6.2 (Image Plane) and C.8.3.1 (MR Image).
    """
    assert volume.voxels.dtype == np.uint16, volume.voxels.dtype
    directions = LPS_FROM_RAS @ volume.affine[:3, :3] / volume.spacing_mm
    assert np.allclose(directions.T @ directions, np.eye(3), atol=1e-6), directions
    # Readers stack slices along the cross product of row and column direction.
    assert np.linalg.det(directions) > 0, directions
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(volume.shape[2]):
            instance = _series_header(volume, identity)
            _add_slice(instance, volume, directions, k, identity)
            instance.save_as(folder / f"{k + 1:04d}.dcm", enforce_file_format=True)
    except OSError as error:
        raise OutputError(
            folder,
            expected="a writable folder",
            found=file_problem(error),
            remedy="choose another folder, free space, or correct its permissions",
        ) from error


def _series_header(volume: Volume, identity: str) -> Dataset:
    """Attributes that all slices share."""
    header = Dataset()
    header.SOPClassUID = MRImageStorage
    header.StudyInstanceUID = _uid(identity, "study")
    header.SeriesInstanceUID = _uid(identity, "series")
    header.FrameOfReferenceUID = _uid(identity, "frame of reference")
    header.PositionReferenceIndicator = ""
    header.PatientName = f"SYNTHETIC^{volume.name}"
    header.PatientID = volume.name
    header.PatientBirthDate = ""
    header.PatientSex = ""
    header.ImageComments = SYNTHETIC
    # Fixed, so that the output is deterministic.
    header.StudyDate = "20000101"
    header.StudyTime = "000000"
    header.AccessionNumber = ""
    header.ReferringPhysicianName = ""
    header.StudyID = "1"
    header.SeriesNumber = 1
    header.SeriesDescription = "SYNTHETIC T1"
    header.Modality = "MR"
    header.Manufacturer = "Slicewise demo cohort"
    header.ScanningSequence = "GR"
    header.SequenceVariant = "NONE"
    header.ScanOptions = ""
    header.MRAcquisitionType = "2D"
    header.EchoTime = None
    header.RepetitionTime = None
    header.EchoTrainLength = None
    header.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    return header


def _add_slice(
    instance: Dataset,
    volume: Volume,
    directions_lps: NDArray[np.float64],
    k: int,
    identity: str,
) -> None:
    """Position and pixels of slice ``k``, and the file meta information."""
    column_mm, row_mm, slice_mm = volume.spacing_mm
    position_lps = LPS_FROM_RAS @ volume.world_position_mm(np.array([0, 0, k]))
    pixels = volume.voxels[:, :, k].T  # (columns, rows) to (rows, columns)
    instance.SOPInstanceUID = _uid(identity, f"slice {k}")
    instance.InstanceNumber = k + 1
    instance.ImagePositionPatient = _decimals(position_lps)
    # Direction of increasing column index, then of increasing row index.
    instance.ImageOrientationPatient = _decimals(directions_lps[:, :2].T.ravel())
    # Distance between rows comes first.
    instance.PixelSpacing = _decimals(np.array([row_mm, column_mm]))
    instance.SliceThickness, instance.SpacingBetweenSlices = _decimals(np.full(2, slice_mm))
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    instance.Rows, instance.Columns = pixels.shape
    instance.BitsAllocated = instance.BitsStored = 16
    instance.HighBit = 15
    instance.PixelRepresentation = 0
    instance.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
    instance.file_meta = FileMetaDataset()
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _uid(identity: str, part: str) -> str:
    return generate_uid(entropy_srcs=[identity, part])


def _decimals(values: NDArray[np.float64]) -> list[str]:
    """Decimal strings of at most 16 characters, as the standard allows."""
    return [f"{value:.10f}"[:16] for value in values]
