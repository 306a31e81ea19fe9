"""What a folder of DICOM files becomes: volumes on their true grid, or a reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from pipeline.errors import GeometryError, ScanError
from pipeline.imaging.dicom.scanner import DicomScanner, SeriesScan
from pipeline.imaging.dicom.series import DicomSeries
from pipeline.imaging.sandbox import ChildDiedError, Sandbox

Write = Callable[[list[FileDataset]], Path]
LPS_TO_RAS = np.diag([-1, -1, 1, 1])


def find_series(path: Path, sandbox: Sandbox) -> SeriesScan:
    return DicomScanner(sandbox=sandbox).find(path)


def only(scan: SeriesScan) -> DicomSeries:
    assert not scan.set_aside, scan.set_aside
    assert len(scan.series) == 1
    return scan.series[0]


def reason(scan: SeriesScan) -> ScanError:
    assert not scan.series
    assert len(scan.set_aside) == 1
    return scan.set_aside[0]


def moved(dataset: FileDataset, offset_mm: np.ndarray) -> None:
    here = np.array([float(value) for value in dataset.ImagePositionPatient])
    dataset.ImagePositionPatient = [f"{value:.10f}"[:16] for value in here + offset_mm]


def test_clean_series_lies_where_the_headers_say(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    series = only(find_series(write_dicom(phantom.datasets()), sandbox))
    assert series.shape == (11, 7, 5)
    assert series.voxel_type == "int16"
    assert series.warnings == ()
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)


def test_agrees_with_simpleitk(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    series = only(find_series(write_dicom(phantom.datasets()), sandbox))
    image = SimpleITK.ReadImage([str(path) for path in series.files])
    assert image.GetSize() == series.shape
    for index in [(0, 0, 0), (10, 0, 0), (0, 6, 0), (0, 0, 4), (10, 6, 4)]:
        lps_mm = image.TransformIndexToPhysicalPoint(index)
        ras_mm = LPS_TO_RAS @ [*lps_mm, 1]
        np.testing.assert_allclose(series.affine @ [*index, 1], ras_mm, atol=1e-4)


def test_instance_numbers_do_not_matter(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    datasets = phantom.datasets()
    for dataset, number in zip(datasets, [4, None, 1, 9, 2], strict=True):
        dataset.InstanceNumber = number
    random.Random(3).shuffle(datasets)
    series = only(find_series(write_dicom(datasets), sandbox))
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)


def test_missing_middle_slice_says_where(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    del datasets[2]
    error = reason(find_series(write_dicom(datasets), sandbox))
    assert isinstance(error, GeometryError)
    assert "gap of 7 mm" in error.found
    assert "slice 2 of 4" in error.found


@pytest.mark.parametrize("stated_mm", ["3.5", "7"])
def test_slices_missing_at_equal_distances(
    phantom: Any, write_dicom: Write, sandbox: Sandbox, stated_mm: str
) -> None:
    every_other = phantom.datasets(SpacingBetweenSlices=stated_mm)[::2]
    scan = find_series(write_dicom(every_other), sandbox)
    if stated_mm == "7":
        # Such a series may interleave two echoes; its distances are what it says.
        assert only(scan).shape == (11, 7, 3)
    else:
        assert isinstance(reason(scan), GeometryError)
        assert "every instance number 2 further" in reason(scan).found


def test_missing_first_slice_is_noticed(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    series = only(find_series(write_dicom(phantom.datasets()[1:]), sandbox))
    assert any("instance numbers start at 2" in text for text in series.warnings)


def test_copy_of_a_slice_is_dropped(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    datasets = [*phantom.datasets(), phantom.datasets(InstanceNumber=77)[3]]
    series = only(find_series(write_dicom(datasets), sandbox))
    assert series.shape == (11, 7, 5)
    assert any("1 duplicate slices" in text for text in series.warnings)


def test_other_pixels_at_one_position_are_set_aside(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    other = phantom.datasets(InstanceNumber=77, PixelData=bytes(2 * 11 * 7))[3]
    error = reason(find_series(write_dicom([*phantom.datasets(), other]), sandbox))
    assert "2 different images at one position" in error.found


def test_spacing_may_vary_by_less_than_one_percent(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    moved(datasets[2], 0.02 * phantom.axes[:, 2])
    series = only(find_series(write_dicom(datasets), sandbox))
    assert any("slice distances vary by 0.57%" in text for text in series.warnings)
    np.testing.assert_allclose(series.affine, phantom.affine, atol=1e-6)


@pytest.mark.parametrize(
    ("offset_mm", "found"), [((0, 0, 0.1), "distances from"), ((0.5, 0, 0), "sideways")]
)
def test_irregular_positions_are_set_aside(
    offset_mm: tuple[float, ...], found: str, phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    moved(datasets[2], phantom.axes @ offset_mm)
    assert found in reason(find_series(write_dicom(datasets), sandbox)).found


def test_gantry_tilt_is_set_aside(phantom: Any, write_dicom: Write, sandbox: Sandbox) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        moved(dataset, number * 3.5 * np.tan(np.radians(10)) * phantom.axes[:, 1])
    assert "tilted by 10 degrees" in reason(find_series(write_dicom(datasets), sandbox)).found


@pytest.mark.parametrize(
    ("tags", "tag"),
    [
        ({"PixelSpacing": ["0", "0.75"]}, "PixelSpacing"),
        ({"PixelSpacing": ["-1", "0.75"]}, "PixelSpacing"),
        ({"PixelSpacing": None}, "PixelSpacing"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]}, "ImageOrientationPatient"),
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "RescaleSlope"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "PhotometricInterpretation"),
    ],
)
def test_bad_tags_are_named(
    tags: dict[str, Any], tag: str, phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    error = reason(find_series(write_dicom(phantom.datasets(**tags)), sandbox))
    assert error.where.endswith(f": {tag}")


@pytest.mark.filterwarnings("ignore:.*DS.*")
def test_a_slice_without_numbers_takes_its_series_along(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    datasets[4].PixelSpacing = ["NaN", "0.75"]
    scan = find_series(write_dicom(datasets), sandbox)
    assert not scan.series
    assert scan.set_aside[0].where.endswith(": PixelSpacing")
    assert "1 files of it that are not, 4 that are" in scan.set_aside[1].found


def test_rows_that_differ_in_the_last_slice(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    datasets[4].Rows = 6
    assert "6 x 11" in reason(find_series(write_dicom(datasets), sandbox)).found


def test_localizer_is_a_volume_of_its_own(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    localizer = phantom.datasets(
        ImageOrientationPatient=["0", "1", "0", "0", "0", "-1"], InstanceNumber=99
    )[0]
    scan = find_series(write_dicom([*phantom.datasets(), localizer]), sandbox)
    assert sorted(one.shape[2] for one in scan.series) == [1, 5]
    assert not scan.set_aside


@pytest.mark.parametrize(
    "tags",
    [
        {"EchoTime": "80"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "P"]},
        {"TemporalPositionIdentifier": 2},
        {"DiffusionBValue": 1000.0},
        {"AcquisitionNumber": 2},
    ],
)
def test_two_contrasts_are_two_volumes(
    tags: dict[str, Any], phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = [*phantom.datasets(), *phantom.datasets(**tags)]
    scan = find_series(write_dicom(datasets), sandbox)
    assert not scan.set_aside
    assert [one.shape for one in scan.series] == [(11, 7, 5)] * 2
    assert [one.name[-5:] for one in scan.series] == ["_v001", "_v002"]


def test_acquisition_numbers_alone_do_not_split(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    datasets = phantom.datasets()
    for number, dataset in enumerate(datasets):
        dataset.AcquisitionNumber = number % 2
    assert only(find_series(write_dicom(datasets), sandbox)).shape == (11, 7, 5)


def test_cine_is_told_apart_by_trigger_time(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    phases = [phantom.datasets(FrameOfReferenceUID=generate_uid()) for _ in range(3)]
    for phase, datasets in enumerate(phases):
        for number, dataset in enumerate(datasets):
            dataset.TriggerTime = str(phase * (40 + number))
            dataset.InstanceNumber = 1 + number * 3 + phase
            dataset.SOPInstanceUID = f"1.2.{phase}.{number}"
    scan = find_series(write_dicom([one for phase in phases for one in phase]), sandbox)
    assert [one.shape for one in scan.series] == [(11, 7, 5)] * 3


def test_what_is_no_slice_is_named_or_ignored(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "notes.txt").write_text("nothing")
    (folder / "garbage.dcm").write_bytes(b"garbage")
    (folder / "link").symlink_to(folder / "nowhere")
    scan = find_series(folder, sandbox)
    assert {Path(error.where).name for error in scan.set_aside} == {"garbage.dcm", "link"}
    assert any("unreadable files" in text for text in scan.series[0].warnings)


class FragileSandbox(Sandbox):
    """Its child dies of every file that is called ``hostile``."""

    def call(self, function: Any, *arguments: Any, where: Any, **_: Any) -> Any:
        if any(path.stem == "hostile" for path in arguments[0]):
            raise ChildDiedError(where, expected="life", found="SIGSEGV", remedy="none")
        return function(*arguments)


def test_one_hostile_file_does_not_take_the_others_along(phantom: Any, write_dicom: Write) -> None:
    folder = write_dicom(phantom.datasets())
    (folder / "hostile.dcm").write_bytes(b"boom")
    scan = find_series(folder, FragileSandbox())
    assert [one.shape for one in scan.series] == [(11, 7, 5)]
    assert [error.where for error in scan.set_aside] == [str(folder / "hostile.dcm")]


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"NumberOfFrames": 8}, "0 descriptions"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "could not be told apart"),
    ],
)
def test_other_objects_are_named(
    tags: dict[str, Any], what: str, phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    assert what in reason(find_series(write_dicom(phantom.datasets(**tags)), sandbox)).found


def test_names_and_errors_are_free_of_the_patient(
    phantom: Any, write_dicom: Write, sandbox: Sandbox
) -> None:
    bad = phantom.datasets(PixelSpacing=["0", "1"], SeriesInstanceUID=generate_uid())
    scan = find_series(write_dicom([*phantom.datasets(), *bad]), sandbox)
    assert scan.series[0].name == "s012_axial_11x7x5"
    assert "oken" not in repr(scan.series[0].warnings) + str(scan.set_aside[0])


def test_an_absent_folder_is_an_error(tmp_path: Path, sandbox: Sandbox) -> None:
    with pytest.raises(ScanError, match="No such file"):
        find_series(tmp_path / "absent", sandbox)


@pytest.mark.data
def test_real_cine_becomes_one_volume_a_phase(test_data: Path, sandbox: Sandbox) -> None:
    scan = find_series(test_data / "sunnybrook" / "SCD0000101", sandbox)
    assert [one.shape for one in scan.series] == [(256, 256, 12)] * 20
    assert not scan.set_aside


@pytest.mark.data
@pytest.mark.parametrize("name", ["gantrytilting/001", "sliceincrement/001", "sliceincrement/002"])
def test_real_failing_series_are_set_aside(name: str, test_data: Path, sandbox: Sandbox) -> None:
    reason(find_series(test_data / "dicom2nifti" / "failing" / name, sandbox))


@pytest.mark.data
def test_hostile_files_never_reach_the_caller(test_data: Path, sandbox: Sandbox) -> None:
    folders = sorted(path for path in (test_data / "hostile_dicom").rglob("*") if path.is_dir())
    scans = [find_series(folder, sandbox) for folder in folders]
    assert sum(len(scan.set_aside) for scan in scans) > 50
