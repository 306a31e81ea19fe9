"""The catalogue: who the patient is, what pairs up, and where the data set lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.linear_time import linear_time

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Catalogue, Listing, assemble, data_root, merged_patients
from slicewise.dataset.patient_ids import PatientVariants, patient_of
from slicewise.errors import ConfigError, DataError
from slicewise.imaging.scan import ScanSource

ROOT = Path("set")


def images(*names: str) -> dict[str, tuple[ScanSource, ...]]:
    return {name: (ROOT / "images" / f"{name}.nii.gz",) for name in names}


def labels(*names: str) -> dict[str, ScanSource]:
    return {name: ROOT / "labels" / f"{name}.nii.gz" for name in names}


def join(
    data: DataSection, images: dict[str, tuple[ScanSource, ...]], labels: dict[str, ScanSource]
) -> Catalogue:
    return assemble(data, Listing(ROOT, images, labels))


def test_each_of_twenty_thousand_cases_by_name() -> None:
    names = [f"{number:05d}" for number in range(20_000)]
    catalogue = join(DataSection(), images(*names), {})
    with linear_time():
        assert [catalogue.case(name).name for name in names] == names


def test_thousands_of_missing_label_maps_are_told_in_one_line() -> None:
    with pytest.raises(DataError) as caught:
        join(DataSection(), images(*map(str, range(5000))), labels("0"))
    assert caught.value.found.startswith("1: image without label; 10: image without label; ")
    assert caught.value.found.endswith(" and 4987 more")


def test_no_root() -> None:
    with pytest.raises(ConfigError, match=r"data\.root") as caught:
        data_root(DataSection())
    assert "DATA=" in caught.value.remedy


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder") as caught:
        data_root(DataSection(root=tmp_path / "absent"))
    assert caught.value.where == str(tmp_path / "absent")


def test_a_mistyped_root(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    with pytest.raises(DataError) as caught:
        data_root(DataSection(root=tmp_path / "scnas"))
    assert caught.value.remedy == f"did you mean {tmp_path / 'scans'}?"


def test_a_pipe_is_no_data_set(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "scan.nii")
    with pytest.raises(DataError, match="a pipe or a device"):
        data_root(DataSection(root=tmp_path / "scan.nii"))


def test_empty_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="an empty folder"):
        data_root(DataSection(root=tmp_path))


@pytest.mark.fault(60, "E")
def test_everything_unpaired_is_named() -> None:
    with pytest.raises(DataError) as caught:
        join(DataSection(), images("a", "b"), labels("b", "c", "d"))
    assert caught.value.found == (
        "a: image without label; c: label without image; d: label without image"
    )
    assert "allow_unpaired" in caught.value.remedy


@pytest.mark.fault(60, "W")
def test_unpaired_cases_are_set_aside_when_asked() -> None:
    data = DataSection(allow_unpaired=True)
    catalogue = join(data, images("a", "b"), labels("b", "c"))
    assert [case.name for case in catalogue.cases] == ["b"]
    assert [(item.name, item.reason) for item in catalogue.set_aside] == [
        ("a", "image without label"),
        ("c", "label without image"),
    ]
    assert catalogue.set_aside[1].where == str(ROOT / "labels" / "c.nii.gz")


def test_nothing_paired_is_an_error_even_when_asked() -> None:
    with pytest.raises(DataError, match="at least one scan"):
        join(DataSection(allow_unpaired=True), images("a"), labels("b"))


def test_no_labels_at_all_is_a_data_set_to_predict() -> None:
    catalogue = join(DataSection(), images("b", "a"), {})
    assert [case.name for case in catalogue.cases] == ["a", "b"]
    assert catalogue.labelled == ()


def test_no_images() -> None:
    with pytest.raises(DataError, match="at least one scan"):
        join(DataSection(), {}, {})


def test_without_a_pattern_every_case_is_a_patient() -> None:
    assert patient_of("case_7", DataSection()) == "case_7"


def test_pattern_finds_the_patient() -> None:
    data = DataSection(patient_pattern=r"sub-(\w+?)_")
    assert patient_of("sub-A7_ses-2_T1w", data) == "A7"


@pytest.mark.parametrize(
    ("number", "patient"), [("001", "001"), ("002", "001"), ("003", "002"), ("260", "130")]
)
def test_consecutive_numbers_share_a_patient(number: str, patient: str) -> None:
    data = DataSection(patient_pattern=r"hippocampus_(\d+)", scans_per_patient=2)
    assert patient_of(f"hippocampus_{number}", data) == patient


@pytest.mark.parametrize("name", ["other", "sub-"])
def test_pattern_that_does_not_fit_names_the_case(name: str) -> None:
    with pytest.raises(DataError, match=r"data\.patient_pattern") as caught:
        patient_of(name, DataSection(patient_pattern=r"sub-(\d*)"))
    assert name in caught.value.where


def test_numbers_are_needed_to_count_scans() -> None:
    with pytest.raises(DataError, match="scans_per_patient") as caught:
        patient_of("sub-A", DataSection(patient_pattern="sub-(.)", scans_per_patient=2))
    assert caught.value.found == "'A'"


def test_patients_of_set_aside_cases_need_not_fit_the_pattern() -> None:
    data = DataSection(allow_unpaired=True, patient_pattern=r"(\d+)")
    catalogue = join(data, images("1", "odd"), labels("1"))
    assert [case.patient for case in catalogue.cases] == ["1"]


@pytest.mark.fault(63, "W")
def test_variants_of_case_and_space_are_one_patient() -> None:
    patients = {"a": "Pat  01 ", "b": "pat 01", "c": "PAT 01", "d": "pat 02"}
    merged = merged_patients(patients, ROOT)
    assert merged == {"a": "pat 01", "b": "pat 01", "c": "pat 01", "d": "pat 02"}


def listing(written: dict[str, str] | None, *names: str, **parts: Any) -> Listing:
    return Listing(ROOT, images(*names), {}, written, **parts)


@pytest.mark.fault(105, "W")
def test_merged_ids_of_a_manifest_are_named() -> None:
    written = {"a": "Pat  01 ", "b": "pat 01", "c": "PAT 01", "d": "pat 02"}
    catalogue = assemble(DataSection(), listing(written, *written))
    assert catalogue.patient_variants == (
        PatientVariants(("PAT 01", "Pat  01 ", "pat 01"), ("a", "b", "c")),
    )
    assert [case.patient for case in catalogue.cases] == ["pat 01", "pat 01", "pat 01", "pat 02"]


@pytest.mark.fault(63, "W")
@pytest.mark.fault(105, "W")
def test_merged_ids_of_a_pattern_are_named() -> None:
    data = DataSection(patient_pattern="^([^_]+)_")
    catalogue = assemble(data, listing(None, "S01_left", "s01_right", "s02_left"))
    assert [case.patient for case in catalogue.cases] == ["s01", "s01", "s02"]
    assert catalogue.patient_variants == (
        PatientVariants(("S01", "s01"), ("S01_left", "s01_right")),
    )


@pytest.mark.fault(95, "OK")
def test_merged_ids_in_names_of_dicom_files_are_not_shown() -> None:
    data = DataSection(patient_pattern="^([^_]+)_")
    file_names = {"dicom-1": "Meyer_1", "dicom-2": "MEYER_2"}
    catalogue = assemble(data, listing(None, "dicom-1", "dicom-2", file_names=file_names))
    assert catalogue.patient_variants == (PatientVariants((), ("dicom-1", "dicom-2")),)


@pytest.mark.fault(63, "E")
def test_blank_patients_are_named() -> None:
    with pytest.raises(DataError) as caught:
        merged_patients({"a": "1", "b": "", "c": "  "}, ROOT)
    assert caught.value.found == "none for b, c"
    assert "patient_pattern" in caught.value.remedy


@pytest.mark.fault(63, "E")
def test_identical_patients_stop() -> None:
    with pytest.raises(DataError, match="the same patient for all 2 cases"):
        merged_patients({"a": "anon", "b": "ANON "}, ROOT)


def test_one_case_may_have_one_patient() -> None:
    assert merged_patients({"a": "anon"}, ROOT) == {"a": "anon"}


def test_a_case_is_found_by_its_name() -> None:
    catalogue = join(DataSection(), images("a", "b", "c"), {})
    assert catalogue.case("b").images == images("b")["b"]
