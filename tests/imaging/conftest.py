"""Writes small DICOM series whose geometry has no symmetry that could hide a mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from slicewise.config import ReadingSection
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox


def _oblique_axes() -> NDArray[np.float64]:
    """Columns: direction of a row, direction of a column, their normal. LPS."""
    a, b, c = np.radians([10.0, -20.0, 35.0])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


@dataclass
class Phantom:
    """A series of 11 columns, 7 rows and 5 slices, oblique, with another spacing on each axis."""

    columns: int = 11
    rows: int = 7
    slices: int = 5
    column_spacing_mm: float = 0.75
    row_spacing_mm: float = 1.25
    slice_spacing_mm: float = 3.5
    origin_mm: NDArray[np.float64] = field(default_factory=lambda: np.array([-41.5, 17.25, 8.0]))
    axes: NDArray[np.float64] = field(default_factory=_oblique_axes)
    series_uid: str = field(default_factory=generate_uid)

    @property
    def voxels(self) -> NDArray[np.int16]:
        """Shape (columns, rows, slices); every voxel has its own value."""
        shape = (self.columns, self.rows, self.slices)
        return (np.arange(np.prod(shape)).reshape(shape) - 100).astype(np.int16)

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel indices to RAS+ millimetres, written down from the standard's equation."""
        spacing_mm = (self.column_spacing_mm, self.row_spacing_mm, self.slice_spacing_mm)
        lps = np.eye(4)
        lps[:3, :3] = self.axes * spacing_mm
        lps[:3, 3] = self.origin_mm
        return np.diag([-1, -1, 1, 1]) @ lps

    def datasets(self, **tags: Any) -> list[FileDataset]:
        """One dataset a slice, in the order of their positions; tags replace or add values."""
        return [self._dataset(number, tags) for number in range(self.slices)]

    def _dataset(self, number: int, tags: dict[str, Any]) -> FileDataset:
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = MRImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        position_mm = self.origin_mm + number * self.slice_spacing_mm * self.axes[:, 2]
        cosines = [*self.axes[:, 0], *self.axes[:, 1]]
        values = {
            "SOPClassUID": MRImageStorage,
            "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
            "SeriesInstanceUID": self.series_uid,
            "Modality": "MR",
            "PatientName": "Token^Patient",
            "SeriesDescription": "token-description",
            "SeriesNumber": 12,
            "InstanceNumber": number + 1,
            "ImageType": ["ORIGINAL", "PRIMARY", "M"],
            "EchoTime": "10",
            "ImagePositionPatient": [f"{value:.10f}"[:16] for value in position_mm],
            "ImageOrientationPatient": [f"{value:.12f}"[:16] for value in cosines],
            "PixelSpacing": [str(self.row_spacing_mm), str(self.column_spacing_mm)],
            "SliceThickness": "3",
            "Rows": self.rows,
            "Columns": self.columns,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "PixelData": self.voxels[:, :, number].T.tobytes(),
        }
        for keyword, value in (values | tags).items():
            setattr(dataset, keyword, value)
        return dataset


@pytest.fixture
def phantom() -> Phantom:
    return Phantom()


@pytest.fixture
def write_dicom(tmp_path: Path) -> Callable[..., Path]:
    """Write datasets into one folder; the names of the files say nothing about their order."""

    def write(datasets: list[FileDataset]) -> Path:
        folder = tmp_path / "dicom"
        folder.mkdir(exist_ok=True)
        for dataset in datasets:
            name = f"{hash(dataset.SOPInstanceUID) % 10**8:08d}_{len(list(folder.iterdir()))}.dcm"
            dcmwrite(folder / name, dataset, enforce_file_format=True)
        return folder

    return write


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


@pytest.fixture
def find(sandbox: Sandbox) -> Callable[..., SeriesScan]:
    """What a path holds; keywords are options of reading."""

    def find(path: Path, **reading: Any) -> SeriesScan:
        return DicomScanner(ReadingSection(**reading), sandbox=sandbox).find(path)

    return find


@pytest.fixture
def only(find: Callable[..., SeriesScan]) -> Callable[..., DicomSeries]:
    """The one series of a path where nothing is set aside."""

    def only(path: Path, **reading: Any) -> DicomSeries:
        scan = find(path, **reading)
        assert not scan.set_aside, scan.set_aside
        assert len(scan.series) == 1
        return scan.series[0]

    return only
