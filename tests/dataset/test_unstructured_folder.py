"""Scans and studies in any tree: found by folder and name, or by what DICOM says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.layouts import read_catalogue, read_images
from slicewise.errors import DataError, UsageError
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.dicom.slice_header import LabelFile
from slicewise.imaging.nifti.reading import NiftiVolume


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, *contrasts: str, **section: Any) -> Catalogue:
    return read_catalogue(DataSection(root=root, contrasts=contrasts, **section))


def test_a_folder_a_patient_and_a_file_a_contrast(tmp_path: Path) -> None:
    touch(tmp_path, "p1/FLAIR.nii.gz", "p1/T1.nii.gz", "p1/T1POST.nii.gz", "p1/MASK.nii.gz")
    touch(tmp_path, "p2/scan_t1.nii.gz", "p2/scan_flair.nii", "p2/scan_T1-post.nii.gz")
    catalogue = read(tmp_path, "FLAIR", "T1post", "t1")
    assert {case.name: case.images for case in catalogue.cases} == {
        "p1": tuple(tmp_path / f"p1/{name}.nii.gz" for name in ("FLAIR", "T1POST", "T1")),
        "p2/scan": (
            tmp_path / "p2/scan_flair.nii",
            tmp_path / "p2/scan_T1-post.nii.gz",
            tmp_path / "p2/scan_t1.nii.gz",
        ),
    }
    # A patient without a label map is no mistake here.
    assert catalogue.case("p1").label == tmp_path / "p1/MASK.nii.gz"
    assert catalogue.case("p2/scan").label is None
    assert catalogue.set_aside == ()


def test_label_maps_lie_beside_their_images(tmp_path: Path) -> None:
    for patient in ("patient001", "patient002"):
        names = ("frame01", "frame01_gt", "frame12", "frame12_gt")
        touch(tmp_path, *(f"{patient}/{patient}_{name}.nii.gz" for name in names))
        touch(tmp_path, f"{patient}/Info.cfg", f"{patient}/{patient}_4d.nii.gz")
    catalogue = read(tmp_path, "cine")
    assert {case.name: case.label for case in catalogue.cases if "001" in case.name} == {
        "patient001/patient001_4d": None,
        "patient001/patient001_frame01": tmp_path / "patient001/patient001_frame01_gt.nii.gz",
        "patient001/patient001_frame12": tmp_path / "patient001/patient001_frame12_gt.nii.gz",
    }
    assert len(catalogue.labelled) == 4
    # What is predicted are the images.
    assert not [name for name in read_images(tmp_path, ("cine",)).images if "gt" in name]


def test_volumes_of_a_file_and_of_its_label_map(tmp_path: Path, write: Any, scan: Any) -> None:
    for name in ("a_sa", "a_sa_gt"):
        write(tmp_path / f"{name}.nii.gz", np.stack([scan.voxels] * 2, axis=-1), scan.affine)
    write(tmp_path / "b.nii.gz", np.stack([scan.voxels] * 2, axis=-1), scan.affine)
    write(tmp_path / "b_gt.nii.gz", scan.voxels, scan.affine)
    catalogue = read(tmp_path, "cine")
    image, label = tmp_path / "a_sa.nii.gz", tmp_path / "a_sa_gt.nii.gz"
    assert catalogue.case("a_sa_v002").images == (NiftiVolume(image, 1),)
    assert catalogue.case("a_sa_v002").label == NiftiVolume(label, 1)
    # Nothing tells which of two volumes a single label map is of.
    assert [case.name for case in catalogue.cases if case.label is None] == [
        "b_v001",
        "b_v002",
    ]
    assert [item.name for item in catalogue.set_aside] == ["b_gt"]


@pytest.mark.parametrize("contrasts", [("flair",), ("flair", "t1ce")])
def test_the_label_map_of_a_study_is_that_of_the_contrasts(
    tmp_path: Path, contrasts: tuple[str, ...]
) -> None:
    for patient in ("Brain_001", "Brain_002"):
        for name in ("flair", "t1", "t1ce", "t2", "seg"):
            touch(tmp_path, f"{patient}/{patient}_{name}.nii.gz")
    labelled = read(tmp_path, *contrasts).labelled
    assert [case.images[0] for case in labelled] == [
        tmp_path / f"Brain_{number}/Brain_{number}_flair.nii.gz" for number in ("001", "002")
    ]
    assert labelled[1].label == tmp_path / "Brain_002/Brain_002_seg.nii.gz"


@pytest.mark.parametrize("contrasts", [("T1",), ("T1", "T2")])
def test_of_two_label_maps_none_is_chosen(tmp_path: Path, contrasts: tuple[str, ...]) -> None:
    touch(tmp_path, *(f"p1/{name}.nii.gz" for name in (*contrasts, "mask", "seg")))
    catalogue = read(tmp_path, *contrasts)
    assert {item.name for item in catalogue.set_aside} == {"p1/mask", "p1/seg"}
    assert catalogue.set_aside[0].reason.startswith("one of 2 label maps of p1")
    # A scan stays a scan.
    (case,) = catalogue.cases
    assert case.label is None


@pytest.mark.fault(124, "Q")
@pytest.mark.parametrize("label", ["brain_mask", "labels/b", "derivatives/x/b_dseg"])
@pytest.mark.parametrize("contrasts", [("T1",), ("T1", "T2")])
def test_a_label_map_of_nothing_here_is_no_scan(
    tmp_path: Path, label: str, contrasts: tuple[str, ...]
) -> None:
    touch(tmp_path, "a_T1.nii.gz", "a_T2.nii.gz", f"{label}.nii.gz")
    catalogue = read(tmp_path, *contrasts)
    assert label not in [case.name for case in catalogue.cases]
    assert catalogue.labelled == ()
    (item,) = catalogue.set_aside
    assert item.name == label
    assert "no image" in item.reason
    assert "_seg" in item.remedy


def test_label_maps_alone_are_no_data_set(tmp_path: Path) -> None:
    touch(tmp_path, "masks/a.nii.gz", "masks/b.nii.gz")
    with pytest.raises(DataError, match="2 label maps without image: masks/a, masks/b"):
        read(tmp_path, "T1")


def test_folders_of_labels_are_matched_through_any_tree(tmp_path: Path) -> None:
    touch(tmp_path, "raw/images/p1/a.nii.gz", "raw/images/p2/a.nii.gz")
    touch(tmp_path, "raw/Segmentations/p1/a.nii.gz", "raw/Segmentations/p2/a_mask.nii.gz")
    catalogue = read(tmp_path, "T1")
    assert {case.name: case.label for case in catalogue.cases} == {
        "raw/images/p1/a": tmp_path / "raw/Segmentations/p1/a.nii.gz",
        "raw/images/p2/a": tmp_path / "raw/Segmentations/p2/a_mask.nii.gz",
    }


def bids(root: Path, ending: str, folder: str = "anat/") -> Path:
    for subject in ("sub-01", "sub-02"):
        touch(root, f"{subject}/anat/{subject}_T1w.nii.gz", f"{subject}/anat/{subject}_T1w.json")
        touch(root, f"derivatives/labels/{subject}/{folder}{subject}_{ending}.nii.gz")
    return touch(root, "dataset_description.json", "participants.tsv")


@pytest.mark.fault(124, "OK")
@pytest.mark.parametrize("folder", ["anat/", ""])
@pytest.mark.parametrize(
    "ending",
    ["T1w_dseg", "T1w_seg-manual", "T1w_lesion-manual", "label-GM_mask", "T1w_label-SC_mask",
     "space-orig_label-lesion_dseg"],
)  # fmt: skip
def test_labels_in_derivatives(tmp_path: Path, ending: str, folder: str) -> None:
    catalogue = read(bids(tmp_path, ending, folder), "T1w")
    assert {case.name: case.label for case in catalogue.cases} == {
        f"{subject}/anat/{subject}_T1w": tmp_path
        / f"derivatives/labels/{subject}/{folder}{subject}_{ending}.nii.gz"
        for subject in ("sub-01", "sub-02")
    }
    assert catalogue.set_aside == ()


@pytest.mark.fault(124, "OK")
def test_labels_in_derivatives_of_several_contrasts(tmp_path: Path) -> None:
    touch(bids(tmp_path, "T1w_lesion-manual"), "sub-01/anat/sub-01_FLAIR.nii.gz")
    touch(tmp_path, "sub-02/anat/sub-02_FLAIR.nii.gz")
    catalogue = read(tmp_path, "FLAIR", "T1w")
    assert [case.name for case in catalogue.labelled] == [
        "sub-01/anat/sub-01",
        "sub-02/anat/sub-02",
    ]


@pytest.mark.fault(124, "W")
def test_derived_images_are_left_out_and_counted(tmp_path: Path) -> None:
    touch(bids(tmp_path, "T1w_dseg"), "derivatives/prep/sub-01/anat/sub-01_desc-x_T1w.nii.gz")
    catalogue = read(tmp_path, "T1w")
    assert len(catalogue.cases) == 2
    assert any("1 image in derivatives left out" in text for text in catalogue.notes)
    (alone,) = read(tmp_path / "derivatives" / "prep", "T1w").cases
    assert alone.name == "sub-01/anat/sub-01_desc-x_T1w"


def test_the_folder_of_one_patient(tmp_path: Path) -> None:
    root = touch(tmp_path / "anyone", "FLAIR.nii.gz", "T1.nii.gz")
    (case,) = read(root, "T1", "FLAIR").cases
    assert case.name == "anyone"
    assert case.images == (root / "T1.nii.gz", root / "FLAIR.nii.gz")


def test_folders_called_like_channels_are_patients(tmp_path: Path) -> None:
    for number in (7, 12):
        touch(tmp_path, f"patient_{number:04d}/T1.nii.gz", f"patient_{number:04d}/T2.nii.gz")
    catalogue = read(tmp_path, "T1", "T2")
    assert [case.name for case in catalogue.cases] == ["patient_0007", "patient_0012"]


def test_an_incomplete_study_is_set_aside(tmp_path: Path) -> None:
    touch(tmp_path, "a/T1.nii.gz", "a/T2.nii.gz", "b/T1.nii.gz", "c/T2.nii.gz")
    catalogue = read(tmp_path, "T1", "T2")
    assert [case.name for case in catalogue.cases] == ["a"]
    by_name = {item.name: item for item in catalogue.set_aside}
    assert by_name["b"].reason == "expected all of T1, T2, found T1"
    assert "data.missing_contrasts=zero" in by_name["b"].remedy
    assert "gives the grid" in by_name["c"].reason
    catalogue = read(tmp_path, "T1", "T2", missing_contrasts="zero")
    assert catalogue.case("b").images == (tmp_path / "b/T1.nii.gz", None)
    assert [item.name for item in catalogue.set_aside] == ["c"]


def test_nothing_is_called_like_a_contrast(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b/ADC_map.nii.gz")
    with pytest.raises(DataError, match="scans that show T1, ADC") as caught:
        read(tmp_path, "T1", "ADC")
    assert caught.value.found == "a, b/ADC_map"
    assert "patient1/FLAIR.nii.gz" in caught.value.remedy


def test_one_file_is_no_case_of_several_contrasts(tmp_path: Path, write: Any, scan: Any) -> None:
    path = write(tmp_path / "a.nii.gz", scan.voxels, scan.affine)
    with pytest.raises(UsageError, match=r"2 images per case \(T1, T2\)"):
        read_images(path, ("T1", "T2"))
    both = np.stack([scan.voxels, scan.voxels + 1], axis=-1)
    path = write(tmp_path / "b.nii.gz", both, scan.affine)
    (images,) = read_images(path, ("T1", "T2")).images.values()
    assert len(images) == 2


# DICOM

SERIES = DicomSeries(
    "s1", Path("folder"), ("1",), (0,), 0, np.eye(4), (2, 3, 1), "uint8", patient="P1"
)


NOTHING = SeriesScan((), ())


@dataclass(frozen=True)
class GivenScanner(DicomScanner):
    """Finds what it was told to find."""

    found: SeriesScan = NOTHING

    def find_among(self, path: Path, walked: object) -> SeriesScan:
        del path, walked
        return self.found


def studies(root: Path, *series: DicomSeries, **section: Any) -> Catalogue:
    labels = section.pop("labels", ())
    data = DataSection(root=touch(root, "x"), contrasts=("t1post", "FLAIR"), **section)
    return read_catalogue(data, GivenScanner(found=SeriesScan(series, (), labels)))


def a_series(name: str, contrast: str, study: str = "1", patient: str = "P1") -> DicomSeries:
    return replace(
        SERIES,
        name=name,
        contrast=contrast,
        study_uid=study,
        patient=patient,
        series_uid=f"uid of {name}",
    )


def test_a_label_map_belongs_to_the_series_in_its_folder(tmp_path: Path) -> None:
    for patient in ("p1", "p2"):
        touch(tmp_path, f"{patient}/dicom/1", f"{patient}/Segmentation.seg.nrrd")
    series = [replace(a_series(f"s{n}", ""), folder=tmp_path / f"p{n}" / "dicom") for n in (1, 2)]
    two = replace(a_series("s3", ""), folder=tmp_path / "p2" / "dicom")
    data = DataSection(root=tmp_path)
    found = SeriesScan((*series, two), ())
    catalogue = read_catalogue(data, GivenScanner(found=found))
    (labelled,) = catalogue.labelled
    assert labelled.label == tmp_path / "p1" / "Segmentation.seg.nrrd"
    # Nothing tells which of two series the other one is of.
    assert [item.name for item in catalogue.set_aside] == ["p2/Segmentation.seg"]


def test_series_of_a_study_are_the_contrasts_of_a_case(tmp_path: Path) -> None:
    flair, t1, scout = (
        a_series("p1_s1", "flair"),
        a_series("p1_s2", "t1post"),
        a_series("p1_s3", "localizer"),
    )
    # One identifier of a study, but another patient.
    other = (a_series("p2_s1", "t1post", patient="P2"), a_series("p2_s2", "flair", patient="P2"))
    labels = (LabelFile(tmp_path / "seg", ("uid of p1_s2",)),)
    catalogue = studies(tmp_path, flair, *other, scout, t1, labels=labels)
    assert {case.name: case.images for case in catalogue.cases} == {
        "p1_s2": (t1, flair),
        "p2_s1": other,
    }
    assert [case.patient for case in catalogue.cases] == ["P1", "P2"]
    assert catalogue.case("p1_s2").label == tmp_path / "seg"
    assert catalogue.case("p2_s1").label is None


def test_studies_of_one_patient_stay_apart(tmp_path: Path) -> None:
    series = [
        a_series(f"{study}_{contrast}", contrast, study)
        for study in "12"
        for contrast in ("flair", "t1post")
    ]
    catalogue = studies(tmp_path, *series)
    assert [case.name for case in catalogue.cases] == ["1_t1post", "2_t1post"]
    assert [case.patient for case in catalogue.cases] == ["P1", "P1"]


def test_two_series_of_one_contrast_are_not_chosen_from(tmp_path: Path) -> None:
    series = [a_series(name, "flair") for name in ("s1", "s2")]
    whole = [a_series(name, name, "2") for name in ("flair", "t1post")]
    catalogue = studies(tmp_path, *series, a_series("s3", "t1post"), *whole)
    assert [case.name for case in catalogue.cases] == ["t1post"]
    (item,) = catalogue.set_aside
    assert item.name == "dicom-study-1"
    assert item.reason == "expected one scan of FLAIR per study, found 2 of FLAIR, t1post"
    assert "CSV manifest" in item.remedy


def test_a_study_without_a_contrast(tmp_path: Path) -> None:
    series = (a_series("s1", "t1post"), a_series("s2", ""), a_series("s3", "dwi"))
    with pytest.raises(DataError, match="all of t1post, FLAIR") as caught:
        studies(tmp_path, *series)
    assert caught.value.found == "expected all of t1post, FLAIR, found t1post, dwi"
    (case,) = studies(tmp_path, *series, missing_contrasts="zero").cases
    assert case.images == (series[0], None)


@pytest.mark.data
def test_a_dicom_study_on_one_oblique_grid(test_data: Path) -> None:
    data = DataSection(root=test_data / "dicom" / "Study3", contrasts=("T1post", "FLAIR", "T2"))
    (case,) = read_catalogue(data).cases
    assert [getattr(image, "contrast", "") for image in case.images] == ["t1post", "flair", "t2"]
    assert catalogue_of_all(data, test_data / "dicom") == [case.name]


def catalogue_of_all(data: DataSection, root: Path) -> list[str]:
    """Names of the complete studies of a tree."""
    return [case.name for case in read_catalogue(data.model_copy(update={"root": root})).cases]
