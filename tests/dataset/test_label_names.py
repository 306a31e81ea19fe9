"""Names of label maps, and the images that they lie beside."""

from __future__ import annotations

import pytest
from tests.linear_time import linear_time

from slicewise.dataset.label_names import (
    images_of,
    is_label_name,
    is_label_path,
    label_name,
    without_label_word,
)


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("a_seg", "a"),
        ("a-mask", "a"),
        ("a.label", "a"),
        ("a b_Labels", "a b"),
        ("p1/p1_frame01_gt", "p1/p1_frame01"),
        ("p1/GOLD_STANDARD", "p1"),
        ("p1/scan_ground-truth", "p1/scan"),
        ("p1/scan_GroundTruth", "p1/scan"),
        ("a__segmentation", "a"),
        ("seg", ""),
        ("sub-01_T1w_dseg", "sub-01_T1w"),
        ("sub-01_T1w_seg-manual", "sub-01_T1w"),
        ("sub-01_T1w_lesion-manual", "sub-01_T1w"),
        ("sub-01_T2w_labels-disc-manual", "sub-01_T2w"),
        ("sub-01_label-GM_mask", "sub-01_label-GM"),
        ("lesion-manual", ""),
    ],
)
def test_names_of_label_maps(name: str, bare: str) -> None:
    assert is_label_name(name)
    assert without_label_word(name) == bare


@pytest.mark.parametrize("name", ["a", "a_segment", "gt_a", "seg/a", "unmask", "brainmask", "a_t1"])
def test_other_names(name: str) -> None:
    assert not is_label_name(name)
    assert without_label_word(name) == name


def test_folders_of_label_maps() -> None:
    for name in ("labels/a", "Masks/p1/a", "p1/Segmentations/a", "labelsTr/a", "gt/a", "a_seg"):
        assert is_label_path(name)
    for name in ("images/a", "p1/a", "label_study/a", "a"):
        assert not is_label_path(name)


def test_the_very_name_comes_first() -> None:
    assert label_name("a_seg", {"a_seg", "a"}) == "a_seg"
    assert label_name("a_seg", {"a"}) == "a"
    assert label_name("a_seg", {"b"}) == "a_seg"


@pytest.mark.parametrize(
    ("label", "images", "image"),
    [
        ("p1/a_gt", ["p1/a", "p1/b", "p2/a"], "p1/a"),
        ("p1/seg", ["p1/T1", "p2/T1"], "p1/T1"),
        ("p1/p1_seg", ["p1/p1_T1", "p1/p10_T1"], "p1/p1_T1"),
        # Two begin so; the preferred one is taken.
        ("p1/p1_seg", ["p1/p1_T1", "p1/p1_FLAIR"], "p1/p1_FLAIR"),
        ("seg", ["T1"], "T1"),
        ("p1/seg", ["p1"], "p1"),
        ("labels/p1/a", ["images/p1/a", "images/p2/a"], "images/p1/a"),
        ("masks/a", ["a", "b"], "a"),
        ("p1/segmentations/a_mask", ["p1/a"], "p1/a"),
        (
            "derivatives/labels/sub-1/anat/sub-1_T1w_dseg",
            ["sub-1/anat/sub-1_T1w"],
            "sub-1/anat/sub-1_T1w",
        ),
        (
            "derivatives/labels/sub-1/sub-1_T1w_seg-manual",
            ["sub-1/anat/sub-1_T1w"],
            "sub-1/anat/sub-1_T1w",
        ),
        (
            "derivatives/manual/sub-1/anat/sub-1_space-orig_label-GM_mask",
            ["sub-1/anat/sub-1_T1w", "sub-10/anat/sub-10_T1w"],
            "sub-1/anat/sub-1_T1w",
        ),
    ],
)
def test_the_image_of_a_label_map(label: str, images: list[str], image: str) -> None:
    assert images_of([label], images, lambda name: name.endswith("FLAIR")) == {label: image}


@pytest.mark.parametrize(
    ("label", "images"),
    [
        ("p1/p1_seg", ["p1/p1_T1", "p1/p1_T2"]),
        ("p1/a_seg", ["p1/b", "p2/a"]),
        ("a_seg", []),
        ("labels/p1/a", ["images/p2/a"]),
        ("derivatives/x/sub-1_dseg", ["sub-1_T1w", "sub-1_T2w"]),
    ],
)
def test_a_label_map_of_nothing_here(label: str, images: list[str]) -> None:
    assert images_of([label], images, lambda name: name.endswith("FLAIR")) == {}


def test_names_begin_alike_only_up_to_a_separator() -> None:
    images = ["p1_T1", "p10_T1", "p1x", "p2-a", "p3.a", "p4 a", "P1_T2"]
    labels = ["p1_seg", "p2_seg", "p3_seg", "p4_seg", "p_seg"]
    assert images_of(labels, images, lambda _: False) == {
        "p1_seg": "p1_T1",
        "p2_seg": "p2-a",
        "p3_seg": "p3.a",
        "p4_seg": "p4 a",
    }


@pytest.mark.parametrize("folder", ["", "derivatives/manual/"])
def test_twenty_thousand_label_maps_in_one_folder(folder: str) -> None:
    labels = [f"{folder}p{number}_seg" for number in range(20_000)]
    images = [f"p{number}_T1" for number in range(20_000)]
    with linear_time():
        found = images_of(labels, images, lambda _: False)
    assert found == dict(zip(labels, images, strict=True))
