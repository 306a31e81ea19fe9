"""One door for scans: what lies behind a path is found, named, and read."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.dataset.demo_dicom import write_dicom_series
from pipeline.errors import ScanError
from pipeline.imaging import scan as module
from pipeline.imaging.dicom.series import DicomSeries, SeriesScan
from pipeline.imaging.scan import find_scans, is_scan, read_scan
from pipeline.imaging.volume import Volume

PATIENT = "Doe_John_1970"


def nifti(path: Path, value: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.full((2, 3, 4), value, np.uint8), np.diag([1, 2, 3, 1])).to_filename(path)
    return path


def dicom(folder: Path, identity: str) -> Volume:
    # Axes to L, P and S are what an axial image's columns, rows and slices are.
    affine = np.diag([-0.8, -1.2, 4, 1.0])
    affine[:3, 3] = [10, 20, 30]
    voxels = np.arange(5 * 4 * 6).reshape(5, 4, 6).astype(np.uint16) + len(identity)
    volume = Volume(voxels, affine, identity)
    write_dicom_series(volume, folder, identity)
    return volume


def test_a_file(tmp_path: Path) -> None:
    path = nifti(tmp_path / "head.nii.gz")
    found = find_scans(path)
    assert found.sources == {"head": path}
    assert found.set_aside == ()


def test_a_nested_folder(tmp_path: Path) -> None:
    paths = {
        "a": nifti(tmp_path / "a.nii"),
        "sub/a": nifti(tmp_path / "sub" / "a.nii.gz"),
        "sub/deeper/b": nifti(tmp_path / "sub" / "deeper" / "b.nii.gz"),
    }
    (tmp_path / "notes.txt").write_text("no scan")
    assert find_scans(tmp_path).sources == paths


def test_hidden_things_are_left_out(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii")
    nifti(tmp_path / "._a.nii")
    nifti(tmp_path / ".cache" / "deep" / "b.nii")
    dicom(tmp_path / ".trash" / "series", "one")
    assert find_scans(tmp_path).sources == {"a": path}


def test_one_name_for_two_files_hides_none(tmp_path: Path) -> None:
    plain, packed = nifti(tmp_path / "a.nii"), nifti(tmp_path / "a.nii.gz")
    sources = find_scans(tmp_path).sources
    assert set(sources) == {"a", "a-2"}
    assert set(sources.values()) == {plain, packed}


def test_a_dicom_folder(tmp_path: Path) -> None:
    volume = dicom(tmp_path / PATIENT, "one")
    found = find_scans(tmp_path / PATIENT)
    assert found.set_aside == ()
    ((name, source),) = found.sources.items()
    assert isinstance(source, DicomSeries)
    assert name == source.name
    read = read_scan(source)
    np.testing.assert_array_equal(read.voxels, volume.voxels)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-6)


def test_series_of_one_name_stay_apart_and_no_folder_tells_the_patient(tmp_path: Path) -> None:
    volumes = [dicom(tmp_path / f"{PATIENT}_{visit}", visit) for visit in ("one", "second")]
    nifti(tmp_path / "other.nii.gz")
    sources = find_scans(tmp_path).sources
    assert len(sources) == 3
    assert not any("Doe" in name or "/" in name for name in sources)
    series = [item for item in sources.values() if isinstance(item, DicomSeries)]
    assert series[0].name == series[1].name
    for item, volume in zip(series, volumes, strict=True):
        np.testing.assert_array_equal(read_scan(item).voxels, volume.voxels)


def test_a_bad_series_leaves_the_others(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii")
    dicom(tmp_path / "series", "one")
    (tmp_path / "series" / "0002.dcm").unlink()
    dicom(tmp_path / "series2", "two")
    (tmp_path / "series2" / "0001.dcm").write_bytes(b"damaged")
    found = find_scans(tmp_path)
    assert found.sources["a"] == path
    assert {Path(error.where.partition(":")[0]).parent.name for error in found.set_aside} == {
        "series",
        "series2",
    }
    assert all(error.remedy for error in found.set_aside)


def test_a_folder_that_cannot_be_listed_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = nifti(tmp_path / "a.nii")
    (tmp_path / "locked").mkdir()
    inner = module.find_series

    def find(folder: Path) -> SeriesScan:
        if folder.name == "locked":
            raise ScanError(folder, expected="a folder", found="Permission denied", remedy="chmod")
        return inner(folder)

    monkeypatch.setattr(module, "find_series", find)
    found = find_scans(tmp_path)
    assert found.sources == {"a": path}
    assert [error.found for error in found.set_aside] == ["Permission denied"]


def test_a_link_loop_ends(tmp_path: Path) -> None:
    path = nifti(tmp_path / "sub" / "a.nii")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert find_scans(tmp_path).sources == {"sub/a": path}


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file or folder") as caught:
        find_scans(tmp_path / "nothing")
    assert caught.value.where == str(tmp_path / "nothing")


def test_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "a.nii").symlink_to(tmp_path / "gone.nii")
    with pytest.raises(ScanError):
        find_scans(tmp_path / "a.nii")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="NIfTI files or DICOM images") as caught:
        find_scans(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_single_dicom_file(tmp_path: Path) -> None:
    dicom(tmp_path / "series", "one")
    with pytest.raises(ScanError, match="folder of a DICOM series"):
        find_scans(tmp_path / "series" / "0001.dcm")


def test_reading_a_file(tmp_path: Path) -> None:
    volume = read_scan(nifti(tmp_path / "a.nii.gz", 7))
    assert volume.spacing_mm == (1, 2, 3)
    assert (volume.voxels == 7).all()


def test_reading_a_folder_of_one_series(tmp_path: Path) -> None:
    volume = dicom(tmp_path / "series", "one")
    np.testing.assert_array_equal(read_scan(tmp_path / "series").voxels, volume.voxels)


def test_reading_a_folder_of_two_volumes(tmp_path: Path) -> None:
    dicom(tmp_path / "one", "one")
    dicom(tmp_path / "two", "two")
    for file in (tmp_path / "two").iterdir():
        shutil.copy(file, tmp_path / "one" / f"two_{file.name}")
    with pytest.raises(ScanError, match="one DICOM volume") as caught:
        read_scan(tmp_path / "one")
    assert caught.value.found.startswith("2: ")
    # Each of them alone can be read.
    assert len(find_scans(tmp_path / "one").sources) == 2


def test_reading_a_folder_of_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(ScanError, match="none"):
        read_scan(tmp_path)


def test_reading_a_folder_tells_why_its_series_is_none(tmp_path: Path) -> None:
    dicom(tmp_path / "series", "one")
    (tmp_path / "series" / "0002.dcm").unlink()
    with pytest.raises(ScanError) as caught:
        read_scan(tmp_path / "series")
    assert caught.value.expected != "one DICOM volume"


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file"):
        read_scan(tmp_path / "a.nii.gz")


def test_what_looks_like_a_scan(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a.txt").write_text("")
    looks = {
        path.name: is_scan(path) for path in [*tmp_path.iterdir(), nifti(tmp_path / "a.nii.gz")]
    }
    assert looks == {"series": True, ".hidden": False, "a.txt": False, "a.nii.gz": True}
