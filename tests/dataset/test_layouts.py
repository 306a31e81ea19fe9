"""Every layout becomes the same catalogue; what is missing or ambiguous is named."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Catalogue
from slicewise.dataset.layouts import read_catalogue, read_images
from slicewise.errors import DataError, ScanError, UsageError
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.scan import read_scan

Write = Callable[..., Path]


def touch(root: Path, *names: str) -> Path:
    """Files that only have to be there."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, **section: Any) -> Catalogue:
    return read_catalogue(DataSection(root=root, **section))


def names(catalogue: Catalogue) -> list[str]:
    return [case.name for case in catalogue.cases]


def decathlon(root: Path, *cases: str, listed: tuple[str, ...] | None = None) -> Path:
    files = [f"{folder}/{case}.nii.gz" for case in cases for folder in ("imagesTr", "labelsTr")]
    touch(root, *files)
    entries = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in listed or cases
    ]
    (root / "dataset.json").write_text(json.dumps({"training": entries, "test": ["./x.nii.gz"]}))
    return root


def manifest(root: Path, *lines: str) -> Path:
    (root / "dataset.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


# Decathlon


def test_decathlon(tmp_path: Path) -> None:
    catalogue = read(decathlon(tmp_path, "h_003", "h_001"))
    assert names(catalogue) == ["h_001", "h_003"]
    case = catalogue.case("h_003")
    assert case.images == (tmp_path / "imagesTr/h_003.nii.gz",)
    assert case.label == tmp_path / "labelsTr/h_003.nii.gz"
    assert case.patient == "h_003"


def test_decathlon_names_every_missing_file(tmp_path: Path) -> None:
    decathlon(tmp_path, "a", listed=("a", "b", "c"))
    touch(tmp_path, "imagesTr/b.nii.gz")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.where == str(tmp_path / "dataset.json")
    for missing in ("labelsTr/b.nii.gz", "imagesTr/c.nii.gz", "labelsTr/c.nii.gz"):
        assert missing in caught.value.found
    assert "imagesTr/b" not in caught.value.found


def test_decathlon_goes_on_without_missing_files_when_asked(tmp_path: Path) -> None:
    decathlon(tmp_path, "a", listed=("a", "b", "c"))
    touch(tmp_path, "imagesTr/b.nii.gz")
    catalogue = read(tmp_path, allow_unpaired=True)
    assert names(catalogue) == ["a"]
    assert [item.name for item in catalogue.set_aside] == ["b", "c"]


def test_decathlon_with_absolute_names_outside(tmp_path: Path) -> None:
    entries = [{"image": "/nowhere/a.nii.gz", "label": "/nowhere/b.nii.gz"}]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    with pytest.raises(DataError, match="/nowhere/a"):
        read(tmp_path)


@pytest.mark.parametrize("training", [["a.nii.gz"], {"a": 1}, [{"image": "a.nii.gz"}], None])
def test_decathlon_of_another_structure(tmp_path: Path, training: object) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"training": training}))
    with pytest.raises(DataError, match="another structure"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_dataset_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.where == str(tmp_path / "dataset.json")


# nnU-Net


def nnunet(root: Path, *channels: str) -> Path:
    touch(root, *(f"imagesTr/{channel}.nii.gz" for channel in channels))
    cases = {channel.rpartition("_")[0] for channel in channels}
    touch(root, *(f"labelsTr/{case}.nii.gz" for case in cases))
    (root / "dataset.json").write_text(json.dumps({"numTraining": len(cases)}))
    return root


def test_nnunet_with_two_contrasts(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_1_0001", "a_1_0000", "b_0000", "b_0001")
    catalogue = read(tmp_path, contrasts=("T1", "T2"))
    assert names(catalogue) == ["a_1", "b"]
    folder = tmp_path / "imagesTr"
    assert catalogue.case("a_1").images == (
        folder / "a_1_0000.nii.gz",
        folder / "a_1_0001.nii.gz",
    )
    assert catalogue.case("a_1").label == tmp_path / "labelsTr/a_1.nii.gz"


def test_nnunet_with_fewer_contrasts_than_named(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_0000", "a_0001", "b_0000")
    with pytest.raises(DataError, match="case b without T2"):
        read(tmp_path, contrasts=("T1", "T2"))


def test_nnunet_without_contrasts_that_may_be_missing(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_0000", "a_0001", "a_0002", "b_0000", "b_0002", "c_0000")
    catalogue = read(tmp_path, contrasts=("T1", "T2", "PD"), missing_contrasts="zero")
    folder = tmp_path / "imagesTr"
    assert catalogue.case("b").images == (folder / "b_0000.nii.gz", None, folder / "b_0002.nii.gz")
    assert catalogue.case("c").images == (folder / "c_0000.nii.gz", None, None)


@pytest.mark.parametrize("missing", ["zero", "refuse"])
def test_the_first_contrast_is_never_missing(tmp_path: Path, missing: str) -> None:
    nnunet(tmp_path, "a_0000", "b_0000", "b_0001", "c_0001")
    with pytest.raises(DataError, match="the first contrast, which gives the grid") as caught:
        read(tmp_path, contrasts=("T1", "T2"), missing_contrasts=missing)
    worst = "case c without T1"
    assert caught.value.found == (worst if missing == "zero" else f"{worst}, case a without T2")


def test_nnunet_with_a_gap_in_its_channels(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_0000", "a_0001", "b_0000", "b_0002")
    with pytest.raises(DataError, match="case b") as caught:
        read(tmp_path, contrasts=("T1", "T2"))
    assert caught.value.found == "0, 2"


def test_nnunet_name_without_channel(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_0000", "plain_1")
    with pytest.raises(DataError, match=r"plain_1\.nii\.gz"):
        read(tmp_path)


@pytest.mark.fault(122, "OK")
@pytest.mark.parametrize("channels", [1, 2])
def test_nnunet_version_1_lists_files_without_channel(tmp_path: Path, channels: int) -> None:
    cases = ("c_000", "c_001")
    nnunet(tmp_path, *(f"{case}_{number:04d}" for case in cases for number in range(channels)))
    entries = [
        {"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"}
        for case in cases
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    catalogue = read(tmp_path, contrasts=("T1", "T2")[:channels])
    assert names(catalogue) == list(cases)
    expected = [tmp_path / f"imagesTr/c_000_{n:04d}.nii.gz" for n in range(channels)]
    assert catalogue.case("c_000").images == tuple(expected)
    assert catalogue.case("c_000").label == tmp_path / "labelsTr/c_000.nii.gz"


@pytest.mark.fault(122, "OK")
@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".png"])
def test_nnunet_version_2(tmp_path: Path, ending: str) -> None:
    channels = {"channel_names": {"0": "T1"}, "file_ending": ending, "labels": {"background": 0}}
    touch(tmp_path, f"imagesTr/c_000_0000{ending}", f"labelsTr/c_000{ending}")
    (tmp_path / "dataset.json").write_text(json.dumps(channels))
    (case,) = read(tmp_path).cases
    assert case.name == "c_000"
    assert case.label == tmp_path / f"labelsTr/c_000{ending}"


@pytest.mark.fault(122, "OK")
def test_nnunet_version_2_with_a_list_of_files(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz")
    entry = {"images": ["a.nii.gz", "b.nii.gz"], "label": "c.nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps({"dataset": {"case": entry}}))
    (case,) = read(tmp_path, contrasts=("T1", "T2")).cases
    assert case.images == (tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    assert case.label == tmp_path / "c.nii.gz"
    entry["images"] = ["a.nii.gz", "gone.nii.gz"]
    (tmp_path / "dataset.json").write_text(json.dumps({"dataset": {"case": entry}}))
    with pytest.raises(DataError, match=r"missing: gone\.nii\.gz"):
        read(tmp_path, contrasts=("T1", "T2"))


@pytest.mark.fault(122, "OK")
def test_nnunet_without_description(tmp_path: Path) -> None:
    nnunet(tmp_path, "a_0000", "b_0000")
    (tmp_path / "dataset.json").unlink()
    assert names(read(tmp_path)) == ["a", "b"]


@pytest.mark.fault(122, "E")
def test_nnunet_of_a_format_that_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "imagesTr/c_000_0000.mha", "labelsTr/c_000.mha")
    content = {"channel_names": {"0": "T1"}, "file_ending": ".mha"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.where == f"{tmp_path / 'dataset.json'}: file_ending"
    assert caught.value.found == ".mha"


def test_two_files_for_one_channel(tmp_path: Path) -> None:
    touch(nnunet(tmp_path, "a_0000"), "imagesTr/a_0000.nii")
    with pytest.raises(DataError, match="one file for channel 0 of a"):
        read(tmp_path)


def test_decathlon_with_two_images_of_one_name(tmp_path: Path) -> None:
    entries = [{"image": f"{case}/t1.nii.gz", "label": f"{case}/seg.nii.gz"} for case in "ab"]
    touch(tmp_path, *(file for entry in entries for file in entry.values()))
    (tmp_path / "dataset.json").write_text(json.dumps({"training": entries}))
    with pytest.raises(DataError, match=r"a/t1\.nii\.gz and b/t1\.nii\.gz"):
        read(tmp_path)


# Two folders


@pytest.mark.fault(130, "E")
@pytest.mark.parametrize("allow_unpaired", [True, False])
def test_labels_of_which_none_is_read(tmp_path: Path, allow_unpaired: bool) -> None:
    touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "labels/a.mha", "labels/b.mha")
    with pytest.raises(DataError) as caught:
        read(tmp_path, allow_unpaired=allow_unpaired)
    assert caught.value.where == str(tmp_path / "labels")
    assert "2 files .mha" in caught.value.found
    assert len(read_images(tmp_path, ("image",)).images) == 2


@pytest.mark.fault(130, "E")
def test_an_empty_folder_of_labels(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/.DS_Store", "labels/Thumbs.db")
    with pytest.raises(DataError, match="an empty folder"):
        read(tmp_path)


@pytest.mark.fault(130, "E")
def test_some_labels_that_are_not_read_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "labels/a.nii.gz", "labels/b.mgz")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert "b: image without label" in caught.value.found
    assert "not read in labels, because they are no scans: 1 file .mgz" in caught.value.found


@pytest.mark.fault(130, "OK")
@pytest.mark.parametrize("label", ["a.seg.nrrd", "a.nrrd", "A.NII.GZ"])
def test_images_and_labels_of_different_formats(tmp_path: Path, label: str) -> None:
    touch(tmp_path, f"images/{label[0]}.nii", f"labels/{label}")
    (case,) = read(tmp_path).cases
    assert case.label == tmp_path / "labels" / label


@pytest.mark.fault(67, "Q")
def test_a_broken_link_among_labels_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz")
    (tmp_path / "labels/a.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert "a.nii.gz: expected a readable file" in caught.value.found
    (item,) = [one for one in read(tmp_path, allow_unpaired=True).set_aside if "gz" in one.name]
    assert "No such file" in item.reason


def test_names_of_folders_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "Images/a.nii.gz", "LABELS/a.nii.gz")
    assert names(read(tmp_path)) == ["a"]


def test_accents_of_two_systems_are_one_name(tmp_path: Path) -> None:
    touch(tmp_path, "images/M\u00fcller.nii.gz", "labels/Mu\u0308ller.nii.gz")
    (case,) = read(tmp_path).cases
    assert case.label == tmp_path / "labels/Mu\u0308ller.nii.gz"


@pytest.mark.fault(127, "Q")
def test_a_name_of_another_encoding_is_set_aside(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/a.nii.gz")
    for folder in ("images", "labels"):
        touch(Path(os.fsdecode(os.fsencode(tmp_path / folder))), os.fsdecode(b"M\xfc.nii.gz"))
    catalogue = read(tmp_path)
    assert names(catalogue) == ["a"]
    assert [item.name for item in catalogue.set_aside] == ["M\\xfc.nii.gz"] * 2


@pytest.mark.fault(127, "E")
def test_a_data_set_of_a_name_in_another_encoding(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfc"))
    touch(root, "images/a.nii.gz", "labels/a.nii.gz")
    with pytest.raises(ScanError, match="UTF-8"):
        read(root)


@pytest.mark.parametrize("ending", ["", "_seg", "-mask", "_labels"])
def test_pair_of_folders(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, "images/a.nii.gz", "images/b.nii", f"labels/a{ending}.nii.gz")
    touch(tmp_path, f"labels/b{ending}.nii")
    catalogue = read(tmp_path)
    assert names(catalogue) == ["a", "b"]
    assert catalogue.case("a").label == tmp_path / f"labels/a{ending}.nii.gz"


def test_leftovers_of_file_systems_are_ignored(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/a.nii.gz")
    touch(tmp_path, "images/._a.nii.gz", "images/.DS_Store", "images/notes.txt", "labels/._b.nii")
    assert names(read(tmp_path)) == ["a"]


def test_folders_of_other_names(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.nii.gz", "truth/a.nii.gz", "images/wrong.nii.gz")
    catalogue = read(tmp_path, images="scans", labels_folder="truth")
    assert catalogue.case("a").images == (tmp_path / "scans/a.nii.gz",)
    assert catalogue.case("a").label == tmp_path / "truth/a.nii.gz"


def test_named_folders_are_not_ignored_beside_a_dataset_json(tmp_path: Path) -> None:
    touch(decathlon(tmp_path, "a"), "scans/b.nii.gz", "truth/b.nii.gz")
    assert names(read(tmp_path, images="scans", labels_folder="truth")) == ["b"]


def test_named_folder_that_is_absent(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.nii.gz")
    with pytest.raises(DataError, match=r"data\.labels_folder") as caught:
        read(tmp_path, images="scans", labels_folder="truth")
    assert caught.value.where == str(tmp_path / "truth")


@pytest.mark.fault(60, "E")
@pytest.mark.fault(60, "W")
def test_everything_unpaired_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "images/b.nii.gz", "labels/b.nii.gz", "labels/c.nii.gz")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.found == "a: image without label; c: label without image"
    catalogue = read(tmp_path, allow_unpaired=True)
    assert names(catalogue) == ["b"]
    assert [item.name for item in catalogue.set_aside] == ["a", "c"]


@pytest.mark.parametrize("twice", ["images/a.nii", "labels/a_seg.nii.gz"])
def test_two_files_for_one_case(tmp_path: Path, twice: str) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/a.nii.gz", twice)
    with pytest.raises(DataError, match="one file for a"):
        read(tmp_path)


def test_pair_has_one_contrast(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.nii.gz", "labels/a.nii.gz")
    with pytest.raises(UsageError, match=r"data\.contrasts"):
        read(tmp_path, contrasts=("T1", "T2"))


def test_pair_asked_for_and_not_there(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.nii.gz")
    with pytest.raises(DataError) as caught:
        read(tmp_path, layout="pair")
    assert caught.value.found == "scans"


def test_unicode_and_spaces(tmp_path: Path) -> None:
    touch(tmp_path, "images/Größe 1 ü.nii.gz", "labels/Größe 1 ü.nii.gz")
    assert names(read(tmp_path)) == ["Größe 1 ü"]


# CSV manifest


def test_manifest_with_patients_and_contrasts(tmp_path: Path) -> None:
    touch(tmp_path, "x/1_t1.nii.gz", "x/1_t2.nii.gz", "x/1.nii.gz")
    touch(tmp_path, "x/2_t1.nii.gz", "x/2_t2.nii.gz", "x/2.nii.gz")
    manifest(
        tmp_path,
        "image, label, patient, contrast",
        "x/1_t2.nii.gz, x/1.nii.gz, Anna, T2",
        "x/2_t1.nii.gz, x/2.nii.gz, Berta, T1",
        "x/1_t1.nii.gz, x/1.nii.gz, Anna, T1",
        "x/2_t2.nii.gz, x/2.nii.gz, Berta, T2",
    )
    for root in (tmp_path, tmp_path / "dataset.csv"):
        catalogue = read(root, contrasts=("T1", "T2"))
        assert names(catalogue) == ["1", "2"]
        case = catalogue.case("1")
        assert case.images == (tmp_path / "x/1_t1.nii.gz", tmp_path / "x/1_t2.nii.gz")
        assert case.label == tmp_path / "x/1.nii.gz"
        assert [case.patient for case in catalogue.cases] == ["anna", "berta"]


def test_manifest_without_a_contrast(tmp_path: Path) -> None:
    touch(tmp_path, "1_t1.nii.gz", "2_t1.nii.gz", "2_t2.nii.gz")
    lines = ["1_t1.nii.gz,1,T1", "2_t1.nii.gz,2,T1", "2_t2.nii.gz,2,T2"]
    manifest(tmp_path, "image,case,contrast", *lines)
    with pytest.raises(DataError, match="all of T1, T2") as caught:
        read(tmp_path, contrasts=("T1", "T2"))
    assert caught.value.found == "case 1 without T2"
    assert "data.missing_contrasts=zero" in caught.value.remedy
    catalogue = read(tmp_path, contrasts=("T1", "T2"), missing_contrasts="zero")
    assert catalogue.case("1").images == (tmp_path / "1_t1.nii.gz", None)
    assert None not in catalogue.case("2").images


def test_sites_are_told_by_the_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "north_1.nii.gz", "south_2.nii.gz")
    catalogue = read(tmp_path, site_pattern="^([a-z]+)_")
    assert [case.site for case in catalogue.cases] == ["north", "south"]
    assert [case.site for case in read(tmp_path).cases] == ["", ""]
    with pytest.raises(DataError, match="a name that matches") as caught:
        read(tmp_path, site_pattern="^(north)_")
    assert caught.value.where == "data.site_pattern, case south_2"


def test_manifest_without_patients_uses_the_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "p1_a.nii.gz", "p1_b.nii.gz")
    manifest(tmp_path, "image", "p1_a.nii.gz", "p1_b.nii.gz")
    catalogue = read(tmp_path, patient_pattern=r"p(\d)")
    assert [case.patient for case in catalogue.cases] == ["1", "1"]
    assert catalogue.labelled == ()


def test_a_pattern_and_a_column_of_patients_contradict(tmp_path: Path) -> None:
    touch(tmp_path, "p1_a.nii.gz", "p2_b.nii.gz")
    manifest(tmp_path, "image,patient", "p1_a.nii.gz,x", "p2_b.nii.gz,y")
    assert read(tmp_path).lists_patients
    with pytest.raises(UsageError, match="from either this column"):
        read(tmp_path, patient_pattern=r"p(\d)")


def test_manifest_with_a_dicom_folder(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    write_series(tmp_path / "dicom" / "one", "a")
    touch(tmp_path, "one.nii.gz")
    manifest(tmp_path, "image,label,patient", "dicom/one,one.nii.gz,7")
    (case,) = read(tmp_path).cases
    assert (case.name, case.patient) == ("dicom-1", "7")
    assert read_scan(case.images[0]).shape == (10, 13, 6)


def test_manifest_without_header(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    with pytest.raises(DataError, match="a header with image") as caught:
        read(manifest(tmp_path, "a.nii.gz,b.nii.gz"))
    assert caught.value.found == "a.nii.gz,b.nii.gz"


def test_manifest_names_every_missing_file_with_its_line(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii.gz")
    manifest(tmp_path, "image,label", "a.nii.gz,la.nii.gz", "", "b.nii.gz,")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert caught.value.found == "line 2: la.nii.gz; line 4: b.nii.gz"


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["image,label,patient", "a.nii.gz,la.nii.gz,1", ",lb.nii.gz,2"], "an image in every line"),
        (["image,label,patient", "a.nii.gz,la.nii.gz,1", "b.nii.gz,lb.nii.gz,"], "none for lb"),
        (["image,label,patient", "a.nii.gz,la.nii.gz,1", "b.nii.gz,lb.nii.gz,1"], "same patient"),
        (["image,patient", "a.nii.gz,1", "a.nii.gz,1"], "another line for the case a"),
        (["image,contrast", "a.nii.gz,T9"], "the contrasts image"),
        (["image"], "add lines to the table"),
        (["image,lable", "a.nii.gz,la.nii.gz"], "lable: did you mean 'label'"),
        (["a.nii.gz,la.nii.gz,1"], "write this line first"),
    ],
)
def test_manifest_with_a_mistake(tmp_path: Path, lines: list[str], problem: str) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz", "la.nii.gz", "lb.nii.gz")
    with pytest.raises(DataError, match=problem) as caught:
        read(manifest(tmp_path, *lines))
    assert "dataset.csv" in caught.value.where


@pytest.mark.fault(98, "E")
@pytest.mark.parametrize(
    "case",
    ["../labels/S01", "/tmp/S01", "a/b", ".", "..", ".hidden", '"a\nb"', "x" * 300, "a\0b", "A"],
)
def test_a_case_that_files_cannot_be_called_after(tmp_path: Path, case: str) -> None:
    touch(tmp_path, "a.nii.gz", "b.nii.gz")
    with pytest.raises(DataError) as caught:
        read(manifest(tmp_path, "image,case", "a.nii.gz,a", f"b.nii.gz,{case}"))
    line = 4 if "\n" in case else 3
    assert caught.value.where == f"{tmp_path / 'dataset.csv'}:{line}, column case"


def test_equally_named_labels_never_merge_two_cases(tmp_path: Path) -> None:
    touch(tmp_path, "1/t1.nii", "1/seg.nii", "2/t2.nii", "2/seg.nii")
    manifest(tmp_path, "image,label,contrast", "1/t1.nii,1/seg.nii,T1", "2/t2.nii,2/seg.nii,T2")
    with pytest.raises(DataError, match="seg again") as caught:
        read(tmp_path, contrasts=("T1", "T2"))
    assert caught.value.where == f"{tmp_path / 'dataset.csv'}:3"


def test_column_of_another_name_is_no_patient(tmp_path: Path) -> None:
    touch(tmp_path, "a.nii", "seg.nii")
    (tmp_path / "dataset.csv").write_text("image,label,subject\na.nii,seg.nii,1\n")
    with pytest.raises(DataError, match="image,label,subject"):
        read_catalogue(DataSection(root=tmp_path))


def test_column_case_tells_unlabelled_contrasts_together(tmp_path: Path) -> None:
    touch(tmp_path, "a1.nii", "a2.nii")
    text = "image,contrast,case\na2.nii,T2,a\na1.nii,T1,a\n"
    (tmp_path / "dataset.csv").write_text(text)
    catalogue = read_catalogue(DataSection(root=tmp_path, contrasts=("T1", "T2")))
    assert [case.name for case in catalogue.cases] == ["a"]
    assert catalogue.cases[0].images == (tmp_path / "a1.nii", tmp_path / "a2.nii")


def test_contrasts_of_one_case_share_their_patient(tmp_path: Path) -> None:
    touch(tmp_path, "t1.nii", "t2.nii", "seg.nii")
    lines = ["t1.nii,seg.nii,A,T1", "t2.nii,seg.nii,B,T2"]
    with pytest.raises(DataError, match="seg with the patients A and B"):
        read(manifest(tmp_path, "image,label,patient,contrast", *lines), contrasts=("T1", "T2"))


def test_a_single_scan_is_a_data_set(tmp_path: Path, scan: Any, write: Write) -> None:
    catalogue = read(write(tmp_path / "a.nii.gz", scan.voxels, scan.affine))
    assert [case.name for case in catalogue.cases] == ["a"]


# DICOM and loose scans


def test_dicom_folder_with_two_series(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    for identity in "ab":
        for path in write_series(tmp_path / identity, identity).iterdir():
            shutil.copy(path, tmp_path / f"{identity}{path.name}")
        shutil.rmtree(tmp_path / identity)
    catalogue = read(tmp_path)
    assert len(set(names(catalogue))) == 2
    assert all(isinstance(case.images[0], DicomSeries) for case in catalogue.cases)
    assert catalogue.labelled == ()


def test_loose_scans_below_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "a/t1.nii.gz", "b/t1.nii.gz", "b/._t1.nii.gz")
    assert names(read(tmp_path)) == ["a/t1", "b/t1"]


def test_loose_scans_of_no_contrast(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scans that show T1, T2") as caught:
        read(touch(tmp_path, "a.nii.gz"), contrasts=("T1", "T2"))
    assert caught.value.found == "a"
    assert "channel number" in caught.value.remedy


def test_damaged_series_alone_is_an_error(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    (write_series(tmp_path, "a") / "0003.dcm").unlink()
    with pytest.raises(DataError, match="gap"):
        read(tmp_path)


def test_damaged_series_beside_a_good_one_is_set_aside(
    tmp_path: Path, write_series: Callable[[Path, str], Path]
) -> None:
    write_series(tmp_path / "good", "a")
    (write_series(tmp_path / "bad", "b") / "0003.dcm").unlink()
    catalogue = read(tmp_path)
    assert len(catalogue.cases) == 1
    assert len(catalogue.set_aside) == 1
    assert "gap" in catalogue.set_aside[0].reason


# Real data


@pytest.mark.data
def test_hippocampus_defects(test_data: Path) -> None:
    root = test_data / "hippocampus_defects"
    with pytest.raises(DataError) as caught:
        read(root)
    assert caught.value.found == (
        "hippocampus_118: image without label; hippocampus_010: label without image; "
        "hippocampus_281: label without image"
    )
    catalogue = read(root, allow_unpaired=True)
    assert names(catalogue) == [f"hippocampus_00{number}" for number in (1, 3, 4, 6, 7, 8)]
    assert len(catalogue.set_aside) == 3


@pytest.mark.data
def test_hippocampus(test_data: Path) -> None:
    root = test_data / "Task04_Hippocampus"
    catalogue = read(root, patient_pattern=r"hippocampus_(\d+)", scans_per_patient=2)
    assert len(catalogue.labelled) == 260
    assert catalogue.case("hippocampus_003").patient == catalogue.case("hippocampus_004").patient
    assert catalogue.case("hippocampus_007").patient != catalogue.case("hippocampus_006").patient
    # 90 people with both sides, and one side each of 80 more.
    assert len({case.patient for case in catalogue.cases}) == 170
