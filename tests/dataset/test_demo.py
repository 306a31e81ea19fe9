"""The demo cohort: reproducible, invertible, complete, and readable by independent readers."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray

from slicewise.dataset.demo import cohort as demo_cohort
from slicewise.dataset.demo.cohort import DEMO_LABELS, make_demo_cohort
from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.dataset.demo.subject import Deformation, load_templates, random_deformation
from slicewise.errors import DataError
from slicewise.imaging.files import sha256_of
from slicewise.imaging.volume import Volume

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module", autouse=True)
def templates_are_loaded_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        templates = load_templates()
        patch.setattr(demo_cohort, "load_templates", lambda: templates)
        yield


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "cohort"
    assert list(make_demo_cohort(folder, subjects=3, seed=1)) == [
        "DEMO-001",
        "DEMO-002",
        "DEMO-003",
    ]
    return folder


def read_dicom(folder: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    """Voxels (X, Y, Z) and RAS+ affine, as SimpleITK understands the series."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).T, LPS_FROM_RAS @ affine


def read_image(path: Path) -> tuple[NDArray[np.generic], NDArray[np.float64]]:
    if path.is_dir():
        return read_dicom(path)
    image = nib.load(path)
    return np.asarray(image.dataobj), image.affine


def read_rows(cohort: Path) -> list[dict[str, str]]:
    with (cohort / "dataset.csv").open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_table_lists_every_subject(cohort: Path) -> None:
    rows = read_rows(cohort)
    assert [row["patient"] for row in rows] == ["DEMO-001", "DEMO-002", "DEMO-003"]
    assert rows[0]["image"] == "images/DEMO-001.nii.gz"
    assert rows[2]["image"] == "images/DEMO-003"
    assert rows[2]["label"] == "labels/DEMO-003.nii.gz"
    assert [(cohort / row["image"]).is_dir() for row in rows] == [False, False, True]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_labels_are_complete_and_on_the_grid_of_the_image(cohort: Path, number: int) -> None:
    row = read_rows(cohort)[number]
    voxels, affine = read_image(cohort / row["image"])
    label = nib.load(cohort / row["label"])
    labels = np.asarray(label.dataobj)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {0, *DEMO_LABELS.values()}
    assert voxels.shape == labels.shape
    np.testing.assert_allclose(label.affine, affine, atol=1e-4)
    # Only a T1 image that lies where its labels lie has the tissues in this order.
    medians = [np.median(voxels[labels == value]) for value in range(4)]
    assert medians == sorted(medians)
    # One voxel further along any axis they fit worse.
    spread = _spread_within_tissues(voxels, labels)
    assert all(
        _spread_within_tissues(voxels, np.roll(labels, 1, axis)) > spread for axis in range(3)
    )


def _spread_within_tissues(voxels: NDArray[np.generic], labels: NDArray[np.uint8]) -> float:
    return sum(
        float(np.var(voxels[labels == value])) * np.mean(labels == value) for value in range(4)
    )


@pytest.mark.parametrize("number", [0, 1, 2])
def test_slices_are_thick_and_oblique(cohort: Path, number: int) -> None:
    affine = nib.load(cohort / read_rows(cohort)[number]["label"]).affine
    in_plane_mm, other_mm, thick_mm = np.linalg.norm(affine[:3, :3], axis=0)
    assert in_plane_mm == pytest.approx(other_mm, abs=1e-4)
    assert thick_mm > 1.8 * in_plane_mm
    assert np.count_nonzero(np.abs(affine[:3, :3]) > 1e-3) == 9


def test_nifti_states_its_geometry_twice_and_its_unit(cohort: Path) -> None:
    header = nib.load(cohort / "images" / "DEMO-001.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)
    assert header.get_xyzt_units()[0] == "mm"


def test_dicom_says_that_it_is_synthetic(cohort: Path) -> None:
    files = sorted((cohort / "images" / "DEMO-003").iterdir())
    headers = [pydicom.dcmread(file) for file in files]
    assert {str(header.PatientID) for header in headers} == {"DEMO-003"}
    assert all("SYNTHETIC" in str(header.PatientName) for header in headers)
    assert all("SYNTHETIC" in header.ImageComments for header in headers)
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == len(headers)
    assert "synthetic" in (cohort / "README.txt").read_text(encoding="utf-8")


def test_interrupted_cohort_is_made_complete_with_the_same_bytes(
    cohort: Path, tmp_path: Path
) -> None:
    interrupted = make_demo_cohort(tmp_path / "new", subjects=1, seed=1)
    next(interrupted)
    interrupted.close()
    assert not (tmp_path / "new" / "dataset.csv").exists()
    assert list(make_demo_cohort(tmp_path / "new", subjects=1, seed=1)) == ["DEMO-001"]
    assert (tmp_path / "new" / "dataset.csv").exists()
    for name in ("images/DEMO-001.nii.gz", "labels/DEMO-001.nii.gz"):
        assert sha256_of(tmp_path / "new" / name) == sha256_of(cohort / name)


def test_same_seed_gives_the_same_dicom_files(cohort: Path, tmp_path: Path) -> None:
    templates = demo_cohort.load_templates()
    demo_cohort._write_subject(tmp_path, templates, number=3, seed=1, name="DEMO-003")
    assert sha256_of(tmp_path / "images") == sha256_of(cohort / "images" / "DEMO-003")


def test_another_seed_gives_another_subject(cohort: Path, tmp_path: Path) -> None:
    list(make_demo_cohort(tmp_path / "other", subjects=1, seed=2))
    name = "images/DEMO-001.nii.gz"
    assert sha256_of(tmp_path / "other" / name) != sha256_of(cohort / name)


def test_complete_cohort_is_left_as_it_is(cohort: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in cohort.rglob("*")}
    assert list(make_demo_cohort(cohort, subjects=3, seed=1)) == []
    assert {path: path.stat().st_mtime_ns for path in cohort.rglob("*")} == before


def test_other_cohort_in_the_folder_is_refused(cohort: Path) -> None:
    with pytest.raises(DataError, match="seed"):
        next(make_demo_cohort(cohort, subjects=3, seed=5))


def test_other_files_in_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset.csv").write_text("mine")
    with pytest.raises(DataError, match="other files"):
        next(make_demo_cohort(tmp_path))
    assert (tmp_path / "dataset.csv").read_text() == "mine"


def test_storage_covers_all_planes_with_the_slices_along_the_stated_axis() -> None:
    storages = [demo_cohort._storage(n, is_dicom=n % 3 == 0) for n in range(1, 25)]
    planes = [storage.codes[storage.slice_axis] for storage in storages]
    assert sum(code in "SI" for code in planes) > len(planes) / 2
    assert {code in "RL" for code in planes} == {code in "AP" for code in planes} == {True, False}
    assert len({storage.codes for storage in storages}) >= 5


def jacobian_determinants(
    deformation: Deformation, points_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    step_mm = 0.01
    columns = [
        (deformation(points_mm + shift) - deformation(points_mm - shift)) / (2 * step_mm)
        for shift in (np.eye(3) * step_mm)[:, :, None]
    ]
    return np.linalg.det(np.stack(columns, axis=-1).transpose(1, 0, 2))  # (3, N, 3) to (N, 3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_deformation_is_invertible_and_does_something(seed: int) -> None:
    random = np.random.default_rng(seed)
    deformation = random_deformation(random)
    points_mm = random.uniform(-110, 110, size=(3, 5000))
    assert deformation.lipschitz < 1
    assert jacobian_determinants(deformation, points_mm).min() > 0
    moved_mm = np.linalg.norm(
        np.linalg.inv(deformation.pose) @ deformation(points_mm) - points_mm, axis=0
    )
    assert moved_mm.max() > 3


@pytest.mark.parametrize("codes", ["LPS", "LIP", "PIR", "RAS"])
def test_dicom_voxels_lie_where_they_should(tmp_path: Path, codes: str) -> None:
    axes = {"L": [-1, 0, 0], "R": [1, 0, 0], "P": [0, -1, 0], "A": [0, 1, 0]}
    axes |= {"I": [0, 0, -1], "S": [0, 0, 1]}
    turn = np.deg2rad(7)
    tilt = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.array([axes[code] for code in codes]).T * (1.1, 1.3, 4.0)
    affine[:3, 3] = (-12.5, 31.0, 77.25)
    voxels = np.arange(5 * 7 * 4, dtype=np.uint16).reshape(5, 7, 4)
    write_dicom_series(Volume(voxels, affine, "phantom"), tmp_path, identity="test")
    read, read_affine = read_dicom(tmp_path)
    np.testing.assert_array_equal(read, voxels)
    np.testing.assert_allclose(read_affine, affine, atol=1e-6)
