"""What cannot become a true DICOM SEG is refused by name, and leaves no file behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from slicewise.errors import (
    ConfigError,
    GeometryError,
    LabelError,
    OutputError,
    ScanError,
    SlicewiseError,
)
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.quantities import counted

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Refusal = Callable[..., SlicewiseError]

LIVER = Structure("liver", 5, "#E69F00")


@pytest.fixture
def refusal(tmp_path: Path, sandbox: Sandbox) -> Refusal:
    """The error of writing one labelled voxel; keywords replace arguments. No file is left."""

    def refusal(
        series: DicomSeries, labels: NDArray[Any] | None = None, **others: Any
    ) -> SlicewiseError:
        if labels is None:
            labels = np.zeros(series.shape, dtype=np.uint8)
            labels[3, 2, 1] = 5
        given = {
            "mask": Volume(labels, series.affine, "mask"),
            "structures": [LIVER],
            "algorithm": Algorithm("unet", "1"),
            "path": tmp_path / "out" / "mask.dcm",
            "identity": Identity(IdentityMode.SOURCE),
        } | others
        with pytest.raises(SlicewiseError) as caught:
            write_segmentation(series=series, sandbox=sandbox, **given)
        assert not list((tmp_path / "out").glob("*"))
        return caught.value

    return refusal


@pytest.fixture
def series(phantom: Any, write_dicom: Write, only: Only) -> DicomSeries:
    tags = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    return only(write_dicom(phantom.datasets(**tags)))


def test_value_of_no_structure(series: DicomSeries, refusal: Refusal) -> None:
    labels = np.zeros(series.shape, dtype=np.int16)
    labels[0, 0, 0], labels[1, 1, 1], labels[2, 2, 2] = 5, 7, -1
    error = refusal(series, labels)
    assert isinstance(error, LabelError)
    assert (error.where, error.expected, error.found) == (
        "mask",
        "values 5 (liver)",
        "values -1, 7",
    )


def test_fractions(series: DicomSeries, refusal: Refusal) -> None:
    labels = np.full(series.shape, 0.5, dtype=np.float32)
    assert isinstance(refusal(series, labels), LabelError)


def test_mask_on_another_grid(series: DicomSeries, refusal: Refusal) -> None:
    affine = series.affine.copy()
    affine[0, 3] += 0.1
    error = refusal(series, mask=Volume(np.zeros(series.shape, np.uint8), affine, "mask"))
    assert isinstance(error, GeometryError)
    assert "corners 0.133 voxels apart" in error.found


@pytest.mark.parametrize("name", ["", " ", "a\\b", "a\nb", "x" * 65])
def test_name_that_dicom_cannot_hold(series: DicomSeries, refusal: Refusal, name: str) -> None:
    error = refusal(series, structures=[replace(LIVER, name=name)])
    assert isinstance(error, ConfigError)
    assert error.found == counted(len(name), "character")
    assert isinstance(refusal(series, algorithm=Algorithm("unet", name)), ConfigError)


def test_mosaic_has_no_slices_to_refer_to(
    write_dicom: Write, only: Only, mosaic: Callable[..., FileDataset], refusal: Refusal
) -> None:
    error = refusal(only(write_dicom([mosaic()])))
    assert isinstance(error, GeometryError)
    assert "Siemens mosaic" in error.found
    assert error.remedy == "write NIfTI or .seg.nrrd"


def test_resampled_grid_has_no_slices_on_it(
    phantom: Any, write_dicom: Write, only: Only, refusal: Refusal
) -> None:
    datasets = phantom.datasets()
    moved = np.array(datasets[2].ImagePositionPatient, dtype=float) + 0.5 * phantom.axes[:, 2]
    datasets[2].ImagePositionPatient = [f"{value:.10f}"[:16] for value in moved]
    error = refusal(only(write_dicom(datasets), irregular_slices="resample"))
    assert isinstance(error, GeometryError)
    assert "resampled" in error.found


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_source_without_an_identifier(
    phantom: Any, write_dicom: Write, only: Only, refusal: Refusal, keyword: str
) -> None:
    datasets = phantom.datasets(StudyInstanceUID=generate_uid())
    series = only(write_dicom(datasets))
    dataset = dcmread(series.files[1])
    delattr(dataset, keyword)
    dataset.save_as(series.files[1])
    error = refusal(series)
    assert isinstance(error, ScanError)
    assert error.where == f"{series.files[1]}: {keyword}"


def test_slices_that_share_an_identifier(series: DicomSeries, refusal: Refusal) -> None:
    dataset = dcmread(series.files[1])
    dataset.SOPInstanceUID = dcmread(series.files[0]).SOPInstanceUID
    dataset.save_as(series.files[1])
    error = refusal(series)
    assert isinstance(error, ScanError)
    assert "for several slices" in error.found


def test_files_that_changed_since_they_were_found(series: DicomSeries, refusal: Refusal) -> None:
    series.files[0].rename(series.folder / "aside")
    series.files[1].rename(series.files[0])
    (series.folder / "aside").rename(series.files[1])
    error = refusal(series)
    assert isinstance(error, GeometryError)
    assert error.found == "1 voxels away"
    series.files[2].unlink()
    error = refusal(series)
    assert isinstance(error, GeometryError | ScanError)
    series.files[0].unlink()
    error = refusal(series)
    assert isinstance(error, ScanError)
    assert error.found == "No such file or directory"


def test_damaged_source(series: DicomSeries, refusal: Refusal) -> None:
    content = bytearray(series.files[0].read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    series.files[0].write_bytes(content)
    error = refusal(series)
    assert isinstance(error, ScanError)
    assert error.where.startswith(str(series.files[0]))


def test_place_that_cannot_be_written(
    series: DicomSeries, refusal: Refusal, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    error = refusal(series, path=tmp_path / "file" / "mask.dcm")
    assert isinstance(error, OutputError)
    assert error.where == str(tmp_path / "file" / "mask.dcm")


def test_an_older_file_stays_as_it_was(
    series: DicomSeries, sandbox: Sandbox, tmp_path: Path
) -> None:
    path = tmp_path / "mask.dcm"
    path.write_text("older")
    mask = Volume(np.full(series.shape, 9), series.affine)
    identity = Identity(IdentityMode.SOURCE)
    with pytest.raises(LabelError):
        write_segmentation(mask, series, [LIVER], Algorithm("a", "1"), path, identity, sandbox)
    assert path.read_text() == "older"
