"""One door for scans: what lies behind a path is found, named, and read."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from slicewise.config import ReadingSection
from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.dicom.scanner import DicomScanner, LabelFile, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import (
    is_scan,
    is_scan_file,
    read_label,
    read_scan,
    source_name,
)
from slicewise.imaging.scan_search import find_scans
from slicewise.imaging.volume import Volume

PATIENT = "Doe_John_1970"
NOTHING = SeriesScan((), ())


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
    by_origin = {read_scan(item).voxels[0, 0, 0]: item for item in series}
    for volume in volumes:
        item = by_origin[volume.voxels[0, 0, 0]]
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


@dataclass(frozen=True)
class GivenScanner(DicomScanner):
    """Finds what it was told to find."""

    found: SeriesScan = NOTHING

    def find_among(self, path: Path, walked: object) -> SeriesScan:
        del path, walked
        return self.found


def a_series(name: str, series_uid: str) -> DicomSeries:
    shape = (2, 3, 1)
    return DicomSeries(name, Path(), ("1",), (0,), 0, np.eye(4), shape, "uint8", series_uid)


def test_a_folder_that_cannot_be_listed_leaves_the_others(tmp_path: Path) -> None:
    path = nifti(tmp_path / "a.nii")
    locked = ScanError("locked", expected="a folder", found="Permission denied", remedy="chmod")
    found = find_scans(tmp_path, GivenScanner(found=SeriesScan((), (locked,))))
    assert found.sources == {"a": path}
    assert found.set_aside == (locked,)


def test_a_dicom_seg_labels_the_only_series_that_it_names(tmp_path: Path) -> None:
    series = tuple(a_series(name, uid) for name, uid in (("a", "1"), ("b", "2"), ("b", "2")))
    labels = tuple(LabelFile(tmp_path / uid, (uid,)) for uid in ("1", "2", "3"))
    found = find_scans(tmp_path, GivenScanner(found=SeriesScan(series, (), labels)))
    assert set(found.sources) == {"a", "b", "b-2"}
    assert found.labels == {"a": tmp_path / "1"}
    assert found.loose_labels == (tmp_path / "2", tmp_path / "3")
    twice = (labels[0], LabelFile(tmp_path / "other", ("1",)))
    again = find_scans(tmp_path, GivenScanner(found=SeriesScan(series, (), twice)))
    assert again.labels == {}
    assert len(again.loose_labels) == 2


def test_a_link_loop_ends(tmp_path: Path) -> None:
    path = nifti(tmp_path / "sub" / "a.nii")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert find_scans(tmp_path).sources == {"sub/a": path}


@pytest.mark.fault(121, "OK")
def test_folders_of_patients_that_are_links_are_followed_once(tmp_path: Path) -> None:
    nifti(tmp_path / "store" / "one" / "t1.nii")
    dicom(tmp_path / "store" / "two", "two")
    root = tmp_path / "set"
    root.mkdir()
    for name in ("one", "two"):
        (root / name).symlink_to(tmp_path / "store" / name)
    (root / "once-more").symlink_to(root)
    found = find_scans(root)
    assert len(found.sources) == 2
    assert found.sources["one/t1"] == root / "one" / "t1.nii"
    assert found.set_aside == ()


@pytest.mark.fault(67, "Q")
def test_broken_links_among_scans_are_set_aside(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    (tmp_path / "b.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (tmp_path / "c").symlink_to(tmp_path / "nowhere")
    found = find_scans(tmp_path)
    assert list(found.sources) == ["a"]
    assert sorted(Path(error.where).name for error in found.set_aside) == ["b.nii.gz", "c"]


@pytest.mark.fault(129, "W")
@pytest.mark.fault(130, "W")
def test_files_that_are_not_read_are_counted_in_a_note(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    for name in ("b.mha", "c.mha", "d.mgz", "notes.txt", "a.json", "preview.png", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"no scan")
    os.mkfifo(tmp_path / "e.nii")
    expected = (
        "not read, because they are no scans: 2 files .mha, 1 file .mgz, 1 file .png and "
        "1 special file (pipes or devices)"
    )
    assert find_scans(tmp_path).notes == (expected,)


def test_a_folder_of_other_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "b.mha").write_bytes(b"no scan")
    with pytest.raises(ScanError, match=r"1 file \.mha"):
        find_scans(tmp_path)


@pytest.mark.fault(127, "Q")
def test_names_of_another_encoding_are_set_aside(tmp_path: Path) -> None:
    nifti(tmp_path / "a.nii")
    nifti(Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller/b.nii")))
    dicom(Path(os.fsdecode(os.fsencode(tmp_path) + b"/J\xf6rg")), "one")
    found = find_scans(tmp_path)
    # Names of DICOM files are never names of cases.
    assert [name for name in found.sources if "axial" not in name] == ["a"]
    assert len(found.sources) == 2
    (error,) = found.set_aside
    assert "UTF-8" in error.expected


def test_a_single_file_whose_name_would_break_lines(tmp_path: Path) -> None:
    nifti(tmp_path / "a\nb.nii")
    for path in (tmp_path, tmp_path / "a\nb.nii"):
        (error,) = find_scans(path).set_aside
        assert error.remedy == "rename it"


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file or folder") as caught:
        find_scans(tmp_path / "nothing")
    assert caught.value.where == str(tmp_path / "nothing")


def test_a_broken_link(tmp_path: Path) -> None:
    (tmp_path / "a.nii").symlink_to(tmp_path / "gone.nii")
    with pytest.raises(ScanError):
        find_scans(tmp_path / "a.nii")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="NIfTI or NRRD files, DICOM images") as caught:
        find_scans(tmp_path)
    assert caught.value.where == str(tmp_path)


def test_a_single_dicom_file(tmp_path: Path) -> None:
    volume = dicom(tmp_path / PATIENT, "one")
    path = tmp_path / PATIENT / "0001.dcm"
    ((name, source),) = find_scans(path).sources.items()
    assert "Doe" not in name
    np.testing.assert_array_equal(read_scan(source).voxels, volume.voxels[:, :, :1])
    np.testing.assert_array_equal(read_scan(path).voxels, volume.voxels[:, :, :1])


def test_another_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no scan")
    with pytest.raises(ScanError, match="pictures"):
        find_scans(tmp_path / "a.txt")


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
    with pytest.raises(ScanError, match="one volume") as caught:
        read_scan(tmp_path / "one")
    assert caught.value.found.startswith("2 volumes: ")
    # Each of them alone can be read.
    assert len(find_scans(tmp_path / "one").sources) == 2


def test_reading_a_folder_of_no_volume(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    with pytest.raises(ScanError, match="a folder without DICOM images"):
        read_scan(tmp_path)


def test_reading_a_folder_tells_why_its_series_is_none(tmp_path: Path) -> None:
    dicom(tmp_path / "series", "one")
    (tmp_path / "series" / "0002.dcm").unlink()
    with pytest.raises(ScanError) as caught:
        read_scan(tmp_path / "series")
    assert caught.value.expected != "one volume"


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="no such file"):
        read_scan(tmp_path / "a.nii.gz")


def test_what_looks_like_a_scan(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("a.txt", "a.png", "._a.png", "a.DCM", "a.seg.dcm", "._a.dcm", "a.nrrd"):
        (tmp_path / name).write_text("")
    nifti(tmp_path / "a.nii.gz")
    looks = {path.name for path in tmp_path.iterdir() if is_scan(path)}
    assert looks == {"series", "a.png", "a.DCM", "a.seg.dcm", "a.nii.gz", "a.nrrd"}
    assert not is_scan_file(tmp_path / "series")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.nii.gz", "a.b"),
        ("a.b.nii", "a.b"),
        ("a.b.PNG", "a.b"),
        ("a.b.tiff", "a.b"),
        ("a.b.dcm", "a.b"),
        ("a.seg.dcm", "a"),
        ("A.SEG.DCM", "A"),
        ("a.IMA", "a"),
        ("a.b.nrrd", "a.b"),
        ("a.SEG.nrrd", "a"),
        ("a.b", "a.b"),
    ],
)
def test_names_lose_the_suffix_of_their_kind(name: str, expected: str) -> None:
    assert source_name(Path("x") / name) == expected


# Files of several volumes


@pytest.mark.fault(54, "S")
def test_every_volume_of_a_file_is_a_scan(tmp_path: Path) -> None:
    voxels = np.arange(2 * 3 * 4 * 3, dtype=np.int16).reshape(2, 3, 4, 3)
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "run.nii.gz"
    nib.Nifti1Image(voxels, np.diag([1, 2, 3, 1])).to_filename(path)
    nifti(tmp_path / "a.nii")
    found = find_scans(tmp_path)
    names = [f"sub/run_v00{number}" for number in (1, 2, 3)]
    assert list(found.sources) == ["a", *names]
    for number, name in enumerate(names):
        source = found.sources[name]
        assert source == NiftiVolume(path, number)
        volume = read_scan(source)
        np.testing.assert_array_equal(volume.voxels, voxels[..., number])
        assert volume.name == f"run_v00{number + 1}"
    assert set(find_scans(path).sources) == {"run_v001", "run_v002", "run_v003"}


@pytest.mark.fault(54, "OK")
def test_a_fourth_dimension_of_one_is_one_scan(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    nib.Nifti1Image(np.zeros((2, 3, 4, 1), np.uint8), np.eye(4)).to_filename(path)
    assert find_scans(path).sources == {"a": path}


@pytest.mark.fault(59, "Q")
def test_a_header_that_promises_absurdly_many_volumes_is_one_damaged_scan(tmp_path: Path) -> None:
    header = nib.Nifti2Header()
    header["magic"] = header.single_magic
    header["dim"] = [4, 1, 1, 1, 2**32, 1, 1, 1]
    header["datatype"], header["bitpix"], header["vox_offset"] = 2, 8, 544
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(8))
    assert find_scans(tmp_path).sources == {"a": path}
    with pytest.raises(ScanError, match="volumes in one file"):
        read_scan(path)


def test_a_damaged_file_is_found_and_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    assert find_scans(tmp_path).sources == {"a": tmp_path / "a.nii.gz"}
    with pytest.raises(ScanError):
        read_scan(tmp_path / "a.nii.gz")


# Pictures


def picture(path: Path, *, columns: int = 5, rows: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.arange(columns * rows, dtype=np.uint8).reshape(rows, columns)
    Image.fromarray(values).save(path)
    return path


def test_pictures_are_scans_where_there_is_nothing_else(tmp_path: Path) -> None:
    paths = {
        "a": picture(tmp_path / "a.png"),
        "a-2": picture(tmp_path / "a.tif"),
        "sub/b": picture(tmp_path / "sub" / "b.JPG"),
    }
    picture(tmp_path / ".trash" / "c.png")
    assert find_scans(tmp_path).sources == paths
    assert find_scans(paths["a"]).sources == {"a": paths["a"]}
    assert read_scan(paths["a"]).shape == (5, 3, 1)


def test_a_screenshot_beside_a_scan_is_no_scan(tmp_path: Path) -> None:
    picture(tmp_path / "screenshots" / "a.png")
    picture(tmp_path / "b.tif")
    path = nifti(tmp_path / "c.nii")
    assert find_scans(tmp_path).sources == {"c": path}
    path.unlink()
    dicom(tmp_path / "series", "one")
    ((_, source),) = find_scans(tmp_path).sources.items()
    assert isinstance(source, DicomSeries)


# Options of reading


def test_options_reach_every_kind_of_file(tmp_path: Path) -> None:
    values = np.array([[1, np.nan], [3, 4]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    nib.Nifti1Image(values[:, :, None], np.eye(4)).to_filename(tmp_path / "a.nii")
    filled = ReadingSection(non_finite="zero")
    assert read_scan(tmp_path / "a.tif", filled).voxels.ravel().tolist() == [1, 3, 0, 4]
    assert read_scan(tmp_path / "a.nii", filled).voxels.ravel().tolist() == [1, 0, 3, 4]
    with pytest.raises(ScanError, match="NaN"):
        read_scan(tmp_path / "a.tif")


def uneven(folder: Path) -> Path:
    """Move the third slice of a series by 1 mm of its 4 mm."""
    path = folder / "0003.dcm"
    dataset = dcmread(path)
    x_mm, y_mm, z_mm = dataset.ImagePositionPatient
    dataset.ImagePositionPatient = [x_mm, y_mm, z_mm + 1]
    dataset.save_as(path)
    return folder


def test_options_reach_dicom_folders(tmp_path: Path) -> None:
    dicom(tmp_path / "series", "one")
    folder = uneven(tmp_path / "series")
    with pytest.raises(ScanError):
        read_scan(folder)
    resampled = read_scan(folder, ReadingSection(irregular_slices="resample"))
    assert any("resampled" in text for text in resampled.warnings)


# Labels


def an_image(affine: NDArray[np.float64]) -> Volume:
    """Without a header, as from DICOM or from a picture."""
    return Volume(np.arange(2 * 3 * 4).reshape(2, 3, 4), affine, "image")


# Axes to about P, R and S, of 1.5, 2 and 3 mm.
AFFINE = np.array([[-0.9, 1.6, 0, 5], [-1.2, -1.2, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
LABELS = np.zeros((2, 3, 4), np.int16)
LABELS[0, 1, 2], LABELS[1, 2, 0], LABELS[1, 0, 3] = 1, 2, 500


def a_label(path: Path, voxels: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    nib.Nifti1Image(voxels, affine, dtype=voxels.dtype).to_filename(path)
    return path


def test_a_label_lies_on_the_very_grid_of_its_image(tmp_path: Path) -> None:
    image = an_image(AFFINE)
    label = read_label(a_label(tmp_path / "l.nii", LABELS, AFFINE), image)
    np.testing.assert_array_equal(label.voxels, LABELS)
    np.testing.assert_array_equal(label.affine, image.affine)
    assert label.warnings == ()


@pytest.mark.fault(53, "OK")
@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASR", "SLA", "IRP"])
def test_a_flipped_label_is_turned(tmp_path: Path, codes: str) -> None:
    turned = Volume(LABELS, AFFINE).reoriented(codes)
    label = read_label(a_label(tmp_path / "l.nii", turned.voxels, turned.affine), an_image(AFFINE))
    np.testing.assert_array_equal(label.voxels, LABELS)


def moved(voxels_aside: float) -> NDArray[np.float64]:
    """The smallest voxel is 1.5 mm long."""
    affine = AFFINE.copy()
    affine[0, 3] += voxels_aside * np.linalg.norm(AFFINE[:3, 0])
    return affine


@pytest.mark.fault(51, "OK")
@pytest.mark.parametrize(("aside", "noticed"), [(1e-4, False), (0.004, True), (0.0099, True)])
def test_a_label_hardly_beside_its_image_is_taken_and_noticed(
    tmp_path: Path, aside: float, noticed: bool
) -> None:
    image = an_image(AFFINE)
    label = read_label(a_label(tmp_path / "l.nii", LABELS, moved(aside)), image)
    np.testing.assert_array_equal(label.voxels, LABELS)
    np.testing.assert_array_equal(label.affine, image.affine)
    text = f"differs by {aside:.1g} voxels from the grid of its image, which is used"
    assert label.warnings == ((text,) if noticed else ())


@pytest.mark.fault(52, "Q")
def test_a_label_beside_its_image_is_refused(tmp_path: Path) -> None:
    path = a_label(tmp_path / "l.nii", LABELS, moved(0.011))
    with pytest.raises(GeometryError, match=r"corners 0\.011 voxels apart") as caught:
        read_label(path, an_image(AFFINE))
    assert caught.value.where == str(path)


@pytest.mark.fault(47, "W")
def test_labels_within_a_rounding_of_whole_numbers(tmp_path: Path) -> None:
    stored = (LABELS + np.where(LABELS == 2, 9e-4, 0)).astype(np.float32)
    label = read_label(a_label(tmp_path / "l.nii", stored, AFFINE), an_image(AFFINE))
    np.testing.assert_array_equal(label.voxels, LABELS)
    assert label.warnings == ("values within 0.001 of whole numbers were rounded",)


@pytest.mark.fault(48, "Q")
@pytest.mark.parametrize("value", [0.5, 2.002, np.nan])
def test_labels_that_are_no_whole_numbers(tmp_path: Path, value: float) -> None:
    stored = LABELS.astype(np.float32)
    stored[0, 0, 0] = value
    path = a_label(tmp_path / "l.nii", stored, AFFINE)
    with pytest.raises(LabelError, match="whole numbers") as caught:
        read_label(path, an_image(AFFINE))
    assert caught.value.where == str(path)


@pytest.mark.fault(131, "Q")
def test_one_hot_labels_are_refused_with_what_to_write(tmp_path: Path) -> None:
    image = an_image(AFFINE)
    one_hot = np.zeros((*image.shape, 3), np.uint8)
    nib.save(nib.Nifti1Image(one_hot, image.affine), tmp_path / "one_hot.nii.gz")
    with pytest.raises(LabelError, match="3 volumes, such as one for each structure") as caught:
        read_label(tmp_path / "one_hot.nii.gz", image)
    assert "1 for the first structure" in caught.value.remedy


@pytest.mark.fault(46, "OK")
def test_labels_of_64_bits(tmp_path: Path) -> None:
    wide = np.where(LABELS == 500, 2**40, LABELS).astype(np.int64)
    label = read_label(a_label(tmp_path / "l.nii", wide, AFFINE), an_image(AFFINE))
    np.testing.assert_array_equal(label.voxels, wide)


def test_labels_of_a_dicom_series_are_never_interpolated(tmp_path: Path) -> None:
    volume = dicom(tmp_path / "series", "one")
    label = read_label(tmp_path / "series", volume)
    np.testing.assert_array_equal(label.voxels, volume.voxels)
    with pytest.raises(GeometryError):
        read_label(uneven(tmp_path / "series"), volume, ReadingSection(irregular_slices="resample"))


def test_a_dicom_seg_lies_on_the_grid_of_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = an_image(AFFINE)
    asked = []

    def read_segmentation(path: Path, onto: Volume, names: object) -> Volume:
        del names
        asked.append((path, onto))
        return Volume(LABELS, AFFINE, PATIENT)

    module = "slicewise.imaging.scan.read_segmentation"
    monkeypatch.setattr(module, read_segmentation)
    path = tmp_path / "labels_without_suffix"
    path.write_bytes(b"")
    label = read_label(path, image)
    assert asked == [(path, image)]
    np.testing.assert_array_equal(label.voxels, LABELS)
    assert label.name == "label of image"


def test_a_picture_takes_the_grid_of_its_image(tmp_path: Path) -> None:
    path = picture(tmp_path / "l.png")
    image = read_scan(picture(tmp_path / "a.png"))
    slice_of_dicom = Volume(image.voxels, np.diag([-0.5, -0.7, 4, 1.0]), "slice")
    for labelled in (image, slice_of_dicom):
        label = read_label(path, labelled)
        np.testing.assert_array_equal(label.affine, labelled.affine)
        # Column 2 of row 1.
        assert label.voxels[2, 1, 0] == 1 * 5 + 2
        assert label.warnings == ()


def test_a_picture_of_another_size_is_no_label(tmp_path: Path) -> None:
    image = read_scan(picture(tmp_path / "a.png"))
    path = picture(tmp_path / "l.png", columns=3, rows=5)
    with pytest.raises(GeometryError, match="5 x 3 x 1") as caught:
        read_label(path, image)
    assert caught.value.found == "3 x 5 x 1"
    assert caught.value.where == str(path)


def test_a_picture_cannot_tell_how_it_lies_on_a_nifti_image(tmp_path: Path) -> None:
    nib.Nifti1Image(np.zeros((5, 3, 1), np.uint8), np.eye(4)).to_filename(tmp_path / "a.nii")
    path = picture(tmp_path / "l.png")
    with pytest.raises(GeometryError, match="which has none") as caught:
        read_label(path, read_scan(tmp_path / "a.nii"))
    assert "NIfTI" in caught.value.remedy


def test_what_is_there_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ScanError) as caught:
        find_scans(tmp_path / "notes.txt")
    assert "no such" not in caught.value.found
    os.mkfifo(tmp_path / "scan.nii")
    with pytest.raises(ScanError, match="a pipe or a device"):
        find_scans(tmp_path / "scan.nii")
