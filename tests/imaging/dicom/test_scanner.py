"""What a folder of DICOM files becomes: volumes on their true grid, or a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom import dcmwrite
from pydicom.dataset import FileDataset
from pydicom.uid import SegmentationStorage, generate_uid
from tests.recorded_progress import RecordedProgress

from slicewise.imaging.dicom import scanner as scanner_module
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.sandbox import Sandbox

Write = Callable[[list[FileDataset]], Path]
Call = Callable[..., Any]

LPS_TO_RAS = np.diag([-1, -1, 1, 1])
ENHANCED_SR = "1.2.840.10008.5.1.4.1.1.88.22"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"


def test_clean_series_lies_where_the_headers_say(
    phantom: Any, write_dicom: Write, only: Call
) -> None:
    series = only(write_dicom(phantom.datasets()))
    assert series.shape == (11, 7, 5)
    assert series.voxel_type == "int16"
    assert series.warnings == ()
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)


def test_agrees_with_simpleitk(phantom: Any, write_dicom: Write, only: Call) -> None:
    series = only(write_dicom(phantom.datasets()))
    image = SimpleITK.ReadImage([str(path) for path in series.files])
    assert image.GetSize() == series.shape
    for index in [(0, 0, 0), (10, 0, 0), (0, 6, 0), (0, 0, 4), (10, 6, 4)]:
        lps_mm = image.TransformIndexToPhysicalPoint(index)
        ras_mm = LPS_TO_RAS @ [*lps_mm, 1]
        np.testing.assert_allclose(series.affine @ [*index, 1], ras_mm, atol=1e-4)


def test_a_single_file_is_a_path_too(phantom: Any, write_dicom: Write, only: Call) -> None:
    file = sorted(write_dicom(phantom.datasets()).iterdir())[0]
    assert only(file).files == (file,)


def test_a_series_may_lie_in_several_folders(phantom: Any, write_dicom: Write, only: Call) -> None:
    folder = write_dicom(phantom.datasets())
    for number, file in enumerate(sorted(folder.iterdir())):
        part = folder / f"part{number % 2}" / "deep"
        part.mkdir(parents=True, exist_ok=True)
        file.rename(part / f"image{number}")
    series = only(folder)
    assert series.folder == folder
    assert series.shape == (11, 7, 5)
    assert all(path.is_file() for path in series.files)


@pytest.mark.fault(67, "Q")
def test_what_is_no_slice_is_named_or_ignored(phantom: Any, write_dicom: Write, find: Call) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "notes").write_text("nothing")
    (folder / "garbage.dcm").write_bytes(b"garbage")
    (folder / "link").symlink_to(folder / "nowhere")
    scan = find(folder)
    assert {Path(error.where).name for error in scan.set_aside} == {"garbage.dcm", "link"}
    (series,) = scan.series
    assert series.warnings == ("the folder has unreadable files: slices may be missing at an end",)


@pytest.mark.parametrize("storage", [ENHANCED_SR, PRESENTATION_STATE])
def test_other_objects_of_a_study_are_ignored(
    storage: str, phantom: Any, write_dicom: Write, only: Call
) -> None:
    other = phantom.datasets(SOPClassUID=storage, SeriesInstanceUID=generate_uid())[:1]
    assert only(write_dicom([*phantom.datasets(), *other])).shape == (11, 7, 5)


def test_segmentation_is_no_volume_but_a_label(
    phantom: Any, write_dicom: Write, find: Call
) -> None:
    folder = write_dicom(phantom.datasets())
    referenced = FileDataset("", {})
    referenced.SeriesInstanceUID = phantom.series_uid
    label = phantom.datasets(
        SOPClassUID=SegmentationStorage,
        SeriesInstanceUID=generate_uid(),
        ReferencedSeriesSequence=[referenced],
    )[0]
    dcmwrite(folder / "label.dcm", label, enforce_file_format=True)
    scan = find(folder)
    assert [one.shape for one in scan.series] == [(11, 7, 5)]
    assert [one.path for one in scan.labels] == [folder / "label.dcm"]
    assert scan.labels[0].series_uids == (phantom.series_uid,)


def test_patients_get_pseudonyms(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    pseudonyms = Pseudonyms(bytes(range(32)))
    folder = write_dicom(
        [
            *phantom.datasets(PatientID="Anna 1"),
            *phantom.datasets(PatientID="anna  1", SeriesInstanceUID=generate_uid()),
            *phantom.datasets(PatientID=" ", SeriesInstanceUID=generate_uid()),
        ]
    )
    scan = DicomScanner(pseudonyms=pseudonyms, sandbox=sandbox).find(folder)
    anna = pseudonyms.name("ANNA 1")
    assert sorted(one.patient for one in scan.series) == ["", anna, anna]
    names = [one.name for one in scan.series]
    # Two series of one name are told apart by a mark of their own.
    assert len(set(names)) == 3
    assert sum(name.startswith(f"{anna}_s012_axial_11x7x5_") for name in names) == 2
    assert "s012_axial_11x7x5" in names
    assert "nna" not in "".join(names).replace(anna, "")


def test_who_has_no_number_is_known_by_the_study(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    folder = write_dicom(
        [
            *phantom.datasets(PatientID="", StudyInstanceUID="1.2.3"),
            *phantom.datasets(StudyInstanceUID="1.2.3", SeriesInstanceUID="4", PatientID=""),
            *phantom.datasets(StudyInstanceUID="1.2.4", SeriesInstanceUID="5", PatientID=""),
        ]
    )
    scanner = DicomScanner(pseudonyms=Pseudonyms(bytes(range(32))), sandbox=sandbox)
    patients = [one.patient for one in scanner.find(folder).series]
    assert all(patients)
    assert sorted(map(patients.count, patients)) == [1, 2, 2]


def test_many_files_are_parsed_in_parallel(
    phantom: Any, write_dicom: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = next(write_dicom(phantom.datasets()).iterdir()).read_bytes()
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number:03d}").write_bytes(content)
    monkeypatch.setattr(scanner_module, "_FILES_WORTH_A_BAR", 200)
    progress = RecordedProgress()
    with Sandbox(children=2) as two:
        scanner = DicomScanner(sandbox=two, progress=progress)
        (series,) = scanner.find(folder).series
    (task,) = progress.tasks
    assert task.total == 200
    assert task.completed == [64, 128, 192, 200]
    assert series.shape == (11, 7, 1)
    assert "199 duplicate slices with equal pixels were excluded" in series.warnings


@pytest.mark.data
@pytest.mark.fault(12, "S")
@pytest.mark.fault(14, "W")
def test_real_cine_becomes_one_volume_a_phase(test_data: Path, find: Call) -> None:
    scan = find(test_data / "sunnybrook" / "SCD0000101")
    assert [one.shape for one in scan.series] == [(256, 256, 12)] * 20
    assert not scan.set_aside
    text = "frame-of-reference UIDs differ; the positions form one regular grid"
    assert {one.warnings for one in scan.series} == {(text,)}


@pytest.mark.data
@pytest.mark.fault(3, "Q")
@pytest.mark.fault(9, "Q")
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("gantrytilting/001", "a tilt of 14 degrees"),
        ("sliceincrement/001", "a gap of 10 mm"),
        ("sliceincrement/002", "a gap of 1.499 mm"),
        ("notavolume/001", "no positive value"),
    ],
)
def test_real_failing_series_are_set_aside(
    name: str, found: str, test_data: Path, refused: Call
) -> None:
    assert found in refused(test_data / "dicom2nifti" / "failing" / name).found
