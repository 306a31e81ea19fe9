"""Files become sources: pictures, volumes of one file, DICOM whose names nobody learns."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from tests.linear_time import linear_time

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Catalogue, Listing
from slicewise.dataset.layouts import read_catalogue, read_images
from slicewise.dataset.sources import scans_in, without_dicom_names
from slicewise.errors import DataError, ScanError, UsageError
from slicewise.imaging.dicom.scanner import DicomScanner, LabelFile, SeriesScan
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.scan import only_series, read_label, read_scan
from slicewise.imaging.structures import structures_of
from slicewise.imaging.volume import Volume

PATIENT = "Doe^John"
NOTHING = SeriesScan((), ())


def read(root: Path, **section: Any) -> Catalogue:
    return read_catalogue(DataSection(root=root, **section))


def names(catalogue: Catalogue) -> list[str]:
    return [case.name for case in catalogue.cases]


def touch(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def nifti(path: Path, volumes: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = np.arange(2 * 3 * 4 * volumes, dtype=np.int16).reshape(2, 3, 4, volumes)
    nib.Nifti1Image(voxels, np.diag([1, 2, 3, 1])).to_filename(path)
    return path


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4)).save(path)
    return path


# Pictures


def test_pair_of_folders_of_pictures(tmp_path: Path) -> None:
    images = [picture(tmp_path / "images" / name) for name in ("a.png", "b.jpg", "c.tif")]
    masks = [picture(tmp_path / "masks" / name) for name in ("a.png", "b_mask.png", "c_seg.tif")]
    catalogue = read(tmp_path)
    assert names(catalogue) == ["a", "b", "c"]
    assert [case.images for case in catalogue.cases] == [(path,) for path in images]
    assert [case.label for case in catalogue.cases] == masks


def test_one_picture_in_two_formats_is_ambiguous(tmp_path: Path) -> None:
    for name in ("images/a.png", "images/a.tif", "masks/a.png"):
        picture(tmp_path / name)
    with pytest.raises(DataError, match="one file for a"):
        read(tmp_path)


@pytest.mark.parametrize("scan", ["b.nii.gz", "b.dcm"])
def test_pictures_beside_scans_are_no_scans(tmp_path: Path, scan: str) -> None:
    touch(tmp_path, scan, "b.png", "overview.jpg")
    content = scans_in(tmp_path)
    assert [path.name for path in content.scans] == [scan]
    assert "1 file .jpg and 1 file .png" in content.notes[0]


def test_pictures_in_a_manifest(tmp_path: Path) -> None:
    picture(tmp_path / "x" / "1.png")
    picture(tmp_path / "y" / "one.png")
    (tmp_path / "dataset.csv").write_text("image,label,patient\nx/1.png,y/one.png,7\n")
    (case,) = read(tmp_path).cases
    assert (case.name, case.patient, case.label) == ("one", "7", tmp_path / "y" / "one.png")
    assert read_scan(case.images[0]).shape == (4, 3, 1)


def test_a_bare_folder_of_pictures(tmp_path: Path) -> None:
    paths = [picture(tmp_path / name) for name in ("a.png", "b/c.png")]
    listing = read_images(tmp_path, ("image",))
    assert listing.images == {"a": (paths[0],), "b/c": (paths[1],)}
    assert names(read(tmp_path)) == ["a", "b/c"]


# Files of several volumes


def decathlon(root: Path, volumes: int) -> Path:
    nifti(root / "imagesTr" / "a.nii.gz", volumes)
    nifti(root / "labelsTr" / "a.nii.gz")
    entries = [{"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}]
    (root / "dataset.json").write_text(json.dumps({"training": entries}))
    return root


@pytest.mark.fault(54, "S")
def test_contrasts_of_the_decathlon_are_the_volumes_of_a_file(tmp_path: Path) -> None:
    (case,) = read(decathlon(tmp_path, 2), contrasts=("FLAIR", "T1")).cases
    path = tmp_path / "imagesTr" / "a.nii.gz"
    assert case.name == case.patient == "a"
    assert case.images == (NiftiVolume(path, 0), NiftiVolume(path, 1))
    assert case.label == tmp_path / "labelsTr" / "a.nii.gz"
    listing = read_images(tmp_path, ("FLAIR", "T1"))
    assert listing.images == {"a": case.images}


@pytest.mark.parametrize("contrasts", [("T1",), ("T1", "T2", "FLAIR")])
def test_another_number_of_contrasts_than_volumes(
    tmp_path: Path, contrasts: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError, match=r"found: +2") as caught:
        read(decathlon(tmp_path, 2), contrasts=contrasts)
    assert "data.contrasts" in caught.value.remedy


def test_a_damaged_file_of_several_contrasts_stays_a_case(tmp_path: Path) -> None:
    decathlon(tmp_path, 2)
    (tmp_path / "imagesTr" / "a.nii.gz").write_bytes(b"")
    (case,) = read(tmp_path, contrasts=("T1", "T2")).cases
    # It is set aside where it is read, so that folds do not move.
    assert case.images == (tmp_path / "imagesTr" / "a.nii.gz",)


@pytest.mark.fault(54, "S")
def test_volumes_with_a_label_each_are_cases(tmp_path: Path) -> None:
    image, label = (nifti(tmp_path / folder / "a.nii", 2) for folder in ("images", "labels"))
    nifti(tmp_path / "images" / "b.nii")
    nifti(tmp_path / "labels" / "b.nii")
    catalogue = read(tmp_path)
    assert names(catalogue) == ["a_v001", "a_v002", "b"]
    case = catalogue.case("a_v002")
    assert case.images == (NiftiVolume(image, 1),)
    assert case.label == NiftiVolume(label, 1)
    # They show one patient, so they never part between folds.
    assert [case.patient for case in catalogue.cases] == ["a", "a", "b"]
    numbered = read(tmp_path, patient_pattern="^(.)")
    assert [case.patient for case in numbered.cases] == ["a", "a", "b"]


def test_several_volumes_with_one_label_are_set_aside_when_read(tmp_path: Path) -> None:
    path = nifti(tmp_path / "images" / "a.nii", 2)
    nifti(tmp_path / "labels" / "a.nii")
    (case,) = read(tmp_path).cases
    assert case.images == (path,)
    with pytest.raises(ScanError, match="2 volumes in one file"):
        read_scan(case.images[0])
    # To be predicted, they need no label.
    assert list(read_images(tmp_path, ("image",)).images) == ["a_v001", "a_v002"]


def test_volumes_keep_the_patient_of_a_manifest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        nifti(tmp_path / f"{name}.nii", 2)
    (tmp_path / "dataset.csv").write_text("image,patient\na.nii,P 1\nb.nii,P 2\n")
    patients = {case.name: case.patient for case in read(tmp_path).cases}
    assert patients == {"a_v001": "p 1", "a_v002": "p 1", "b_v001": "p 2", "b_v002": "p 2"}


# DICOM


@dataclass(frozen=True)
class GivenScanner(DicomScanner):
    """Finds what it was told to find."""

    found: SeriesScan = NOTHING

    def find_among(self, path: Path, walked: object) -> SeriesScan:
        del path, walked
        return self.found


def a_series(name: str, series_uid: str = "", patient: str = "") -> DicomSeries:
    return DicomSeries(
        name, Path(PATIENT), ("1",), (0,), 0, np.eye(4), (2, 3, 1), "uint8", series_uid, patient
    )


def found_in(root: Path, found: SeriesScan, **section: Any) -> Catalogue:
    return read_catalogue(DataSection(root=touch(root, "x"), **section), GivenScanner(found=found))


def test_patients_of_series_are_their_pseudonyms(tmp_path: Path) -> None:
    series = (a_series("s1", patient="P7"), a_series("s2", patient="P7"), a_series("s3"))
    catalogue = found_in(tmp_path, SeriesScan(series, ()))
    assert [case.patient for case in catalogue.cases] == ["P7", "P7", "s3"]
    by_pattern = found_in(tmp_path, SeriesScan(series, ()), patient_pattern=r"s(\d)")
    assert [case.patient for case in by_pattern.cases] == ["1", "2", "3"]


def test_series_of_one_patient_are_no_mistake(tmp_path: Path) -> None:
    series = (a_series("s1", patient="P7"), a_series("s2", patient="P7"))
    assert len(found_in(tmp_path, SeriesScan(series, ())).cases) == 2


def test_a_dicom_seg_is_the_label_of_its_series(tmp_path: Path) -> None:
    series = (a_series("s1", "1.1"), a_series("s2", "1.2"))
    labels = (LabelFile(tmp_path / "seg", ("1.2",)), LabelFile(tmp_path / PATIENT, ("1.3",)))
    found = SeriesScan(series, (), labels)
    catalogue = found_in(tmp_path, found)
    assert [case.label for case in catalogue.cases] == [None, tmp_path / "seg"]
    assert [case.name for case in catalogue.labelled] == ["s2"]
    (loose,) = catalogue.set_aside
    assert (loose.name, loose.where) == ("dicom-label-1", str(tmp_path / PATIENT))
    assert PATIENT not in loose.reason + loose.remedy
    listing = read_images(tmp_path, ("image",), GivenScanner(found=found))
    assert listing.labels == {}
    assert listing.set_aside + listing.loose_labels == ()


def test_what_is_set_aside_has_a_neutral_name(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    write_series(tmp_path / "good", "a")
    for number in (1, 2):
        folder = write_series(tmp_path / f"{PATIENT}-{number}", f"b{number}")
        (folder / "0003.dcm").unlink()
    catalogue = read(tmp_path)
    assert [item.name for item in catalogue.set_aside] == ["dicom-1", "dicom-2"]
    assert all(PATIENT in item.where for item in catalogue.set_aside)
    for item in catalogue.set_aside:
        assert PATIENT not in item.name + item.reason + item.remedy
        assert ".dcm" not in item.name + item.reason + item.remedy


def test_dicom_alone_names_no_case(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    for name in ("Roe", "Doe"):
        write_series(tmp_path / "images" / name, name)
    touch(tmp_path, "labels/Roe.seg.dcm", "labels/Doe.dcm")
    catalogue = read(tmp_path)
    assert names(catalogue) == ["dicom-1", "dicom-2"]
    case = catalogue.case("dicom-1")
    (series,) = case.images
    assert isinstance(series, DicomSeries)
    assert series.folder == tmp_path / "images" / "Doe"
    assert case.label == tmp_path / "labels" / "Doe.dcm"
    assert case.patient == "dicom-1"
    # A pattern is asked for, so it searches what the files are called.
    numbered = read(tmp_path, patient_pattern="^(.)")
    assert [case.patient for case in numbered.cases] == ["d", "r"]
    assert list(read_images(tmp_path, ("image",)).images) == ["dicom-1", "dicom-2"]


@pytest.mark.fault(60, "E")
def test_an_error_about_unpaired_dicom_names_no_file(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    for name in ("Roe", "Doe"):
        write_series(tmp_path / "images" / name, name)
    touch(tmp_path, "labels/Roe.dcm")
    with pytest.raises(DataError, match="dicom-1: image without label") as caught:
        read(tmp_path)
    assert "Doe" not in caught.value.found
    catalogue = read(tmp_path, allow_unpaired=True)
    assert names(catalogue) == ["dicom-2"]
    assert [item.name for item in catalogue.set_aside] == ["dicom-1"]


def test_a_label_called_like_a_dicom_folder_names_no_case(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    write_series(tmp_path / "images" / "case_7", "a")
    touch(tmp_path, "labels/case_7.nii.gz")
    assert names(read(tmp_path)) == ["dicom-1"]


@pytest.mark.parametrize(
    ("columns", "line", "expected"),
    [
        ("image", PATIENT, ("dicom-1", "dicom-1")),
        ("image,label", f"{PATIENT},{PATIENT}.dcm", ("dicom-1", "dicom-1")),
        ("image,label,patient", f"{PATIENT},{PATIENT}.dcm,7", ("dicom-1", "7")),
        ("image,case", f"{PATIENT},first", ("first", "first")),
        ("image,label", f"{PATIENT},first.nii", ("first", "first")),
    ],
)
def test_names_of_dicom_in_a_manifest(
    tmp_path: Path,
    write_series: Callable[[Path, str], Path],
    columns: str,
    line: str,
    expected: tuple[str, str],
) -> None:
    write_series(tmp_path / PATIENT, "a")
    touch(tmp_path, "first.nii", f"{PATIENT}.dcm")
    (tmp_path / "dataset.csv").write_text(f"{columns}\n{line}\n")
    (case,) = read(tmp_path).cases
    assert (case.name, case.patient) == expected
    (series,) = case.images
    assert isinstance(series, DicomSeries)
    assert series.folder == tmp_path / PATIENT


def test_a_folder_of_dicom_with_a_dicom_seg_is_a_labelled_data_set(
    tmp_path: Path, scan: Any, write_series: Callable[[Path, str], Path]
) -> None:
    folder = write_series(tmp_path / "dicom" / PATIENT, "a")
    series = only_series(folder)
    image = read_scan(series)
    label = Volume(scan.label, scan.affine).reoriented(image.orientation)
    write_segmentation(
        image.with_voxels(label.voxels),
        series,
        structures_of({"first": 2, "second": 5}, {}),
        Algorithm("test", "1"),
        folder / "labels.dcm",
        Identity(IdentityMode.PSEUDONYM, Pseudonyms(bytes(32))),
    )
    (case,) = read(tmp_path / "dicom").cases
    assert case.label == folder / "labels.dcm"
    read_back = read_label(case.label, image)
    np.testing.assert_array_equal(read_back.voxels, label.voxels)
    assert PATIENT not in case.name + read_back.name


def test_dicom_folders_of_pairs_tell_their_patients(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    for name in ("one", "two"):
        folder = write_series(tmp_path / "images" / name, name)
        for path in folder.iterdir():
            dataset = dcmread(path)
            dataset.PatientID = "the same"
            dataset.save_as(path)
        touch(tmp_path, f"labels/{name}.nii.gz")
    scanner = DicomScanner(pseudonyms=Pseudonyms(bytes(32)))
    catalogue = read_catalogue(DataSection(root=tmp_path), scanner)
    assert len({case.patient for case in catalogue.cases}) == 1


@pytest.mark.fault(62, "E")
def test_volumes_of_a_file_replace_no_other_case(tmp_path: Path, scan: Any) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        four = np.stack([scan.voxels, scan.voxels], axis=-1)
        nib.save(nib.Nifti1Image(four, scan.affine), tmp_path / folder / "x.nii.gz")
        nib.save(nib.Nifti1Image(scan.voxels, scan.affine), tmp_path / folder / "x_v001.nii.gz")
    with pytest.raises(DataError, match="x_v001 as well"):
        read(tmp_path)


def test_thousands_of_pictures_next_to_a_scan(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number}.png").touch()
    (tmp_path / "scan.nii").touch()
    with linear_time():
        content = scans_in(tmp_path)
    assert content.scans == (tmp_path / "scan.nii",)
    assert "3000 files .png" in content.notes[0]


def test_neutral_names_of_twenty_thousand_folders(tmp_path: Path) -> None:
    folders = [tmp_path / f"Surname{number:05d}" for number in range(20_000)]
    listing = Listing(tmp_path, {folder.name: (folder,) for folder in folders}, {})
    with linear_time():
        renamed = without_dicom_names(listing)
    assert list(renamed.images) == [f"dicom-{number + 1}" for number in range(20_000)]
