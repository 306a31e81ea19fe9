"""The comparison of cases: duplicates, outliers with their numbers, and the overview."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.linear_time import linear_time

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase, Intensities
from slicewise.dataset.cohort_measure import CohortMeasure, rounded
from slicewise.dataset.cohort_qc import Overview, compare, patient_numbers, swapped_folders
from slicewise.dataset.fingerprints import Digests
from slicewise.dataset.sparse_labels import SparseLabels
from slicewise.imaging.labels import WHOLE_NUMBERS

DATA = DataSection(labels={"core": 1})


def a_case(name: str, **facts: Any) -> CheckedCase:
    usual: dict[str, Any] = {
        "patient": name,
        "shape": (30, 40, 50),
        "spacing_mm": (1.0, 1.2, 3.0),
        "orientation": "RAS",
        "plane": "axial",
        "intensities": {"image": Intensities(0, 10, 50, 210, 300)},
        "labelled": True,
        "structures": {1: 2.5},
        "digests": the(f"voxels of {name}"),
        "label_digest": f"label of {name}",
    }
    return CheckedCase(name, **(usual | facts))


def the(voxels: str) -> dict[str, Digests]:
    return {"image": Digests(voxels, voxels)}


def a_set(count: int, **odd: Any) -> tuple[list[CheckedCase], CheckedCase]:
    """So many equal cases and an odd one."""
    one = a_case("odd", **odd)
    return [*(a_case(f"c{number}") for number in range(count)), one], one


@pytest.mark.fault(62, "E")
def test_the_same_voxels_under_two_names() -> None:
    cases = [
        a_case("a", digests=the("x"), label_digest="y"),
        a_case("b"),
        a_case("c", digests=the("x"), label_digest="y"),
    ]
    overview = compare(cases, DATA)
    assert cases[0].problems == ["the same voxels as c; remove all but one"]
    assert cases[1].problems == []
    assert cases[2].problems == ["the same voxels as a; remove all but one"]
    assert overview.duplicates.groups == (("a", "c"),)
    assert overview.unusable == 2


def test_the_same_voxels_with_another_label() -> None:
    cases = [a_case("a", digests=the("x")), a_case("b", digests=the("x"))]
    compare(cases, DATA)
    assert cases[0].problems == ["the same voxels as b, with another label; remove all but one"]


@pytest.mark.fault(104, "E")
def test_a_copy_with_other_intensities() -> None:
    scan, rescaled = Digests("as integers", "order"), Digests("as fractions", "order")
    cases = [a_case("a", digests={"image": scan}), a_case("b", digests={"image": rescaled})]
    (finding,) = compare(cases, DATA).problems
    assert finding.found == "the same scan under several names: a, b"
    assert "data.duplicates=keep_first" in finding.remedy
    assert cases[0].problems == [
        "the same scan as b, with other intensities, with another label; remove all but one"
    ]


@pytest.mark.fault(104, "E")
def test_one_contrast_of_two_in_common() -> None:
    both = DataSection(contrasts=("T1", "T2"))
    one, other, third = (Digests(name, name) for name in ("one", "other", "third"))
    cases = [
        a_case("a", digests={"T1": one, "T2": other}),
        a_case("b", digests={"T1": third, "T2": one}),
        a_case("c", digests={"T1": third, "T2": Digests("c", "c")}),
    ]
    assert compare(cases, both).duplicates.groups == (("a", "b", "c"),)


@pytest.mark.fault(104, "W")
def test_the_first_of_each_may_be_kept() -> None:
    cases = [a_case(name, digests=the("x"), label_digest="y") for name in ("a", "b", "c")]
    overview = compare([*cases, a_case("d")], DataSection(duplicates="keep_first"))
    assert overview.problems == ()
    assert overview.unusable == 0
    assert overview.duplicates.left_out == {"b": "a", "c": "a"}
    assert overview.notes[0] == "left out by data.duplicates: b (copy of a), c (copy of a)"
    assert [case.warnings for case in cases] == [
        [],
        ["left out: the same voxels as a"],
        ["left out: the same voxels as a"],
    ]


@pytest.mark.fault(104, "W")
def test_a_copy_that_is_left_out_although_its_label_differs() -> None:
    cases = [a_case("a", digests=the("x")), a_case("b", digests=the("x"))]
    (note,) = compare(cases, DataSection(duplicates="keep_first")).duplicates.notes
    assert note == (
        "left out by data.duplicates: b (copy of a, with another label); keep the case whose "
        "label is better"
    )


@pytest.mark.fault(135, "E")
def test_images_that_look_like_label_maps() -> None:
    cases = [a_case("a"), a_case("b", like_labels=("image",))]
    overview = compare(cases, DATA)
    assert overview.unusable == 1
    assert cases[1].problems == ["looks like a label map: regions of equal whole numbers"]
    (finding,) = overview.problems
    assert finding.found == "images that look like label maps: b"
    assert "data.label_like_images=use" in finding.remedy


def test_images_and_labels_that_have_changed_places() -> None:
    fractions = a_case("a", like_labels=("image",), structures={})
    fractions.problems.append(f"expected {WHOLE_NUMBERS}, found fractions")
    many = a_case("b", like_labels=("image",), structures=dict.fromkeys(range(1, 999), 1.0))
    (finding,) = compare([fractions, many], DATA).problems
    assert finding.found.endswith("labels that look like scans: a, b")
    assert finding.remedy.startswith("images and labels look swapped: exchange the two")
    binary = a_case("c", like_labels=("image",))
    assert swapped_folders([fractions, many, binary]) is None
    assert swapped_folders([]) is None


def test_binary_scans_may_be_used() -> None:
    cases = [a_case("a"), a_case("b", like_labels=("image",))]
    overview = compare(cases, DataSection(label_like_images="use"))
    assert overview.problems == ()
    assert cases[1].warnings == ["looks like a label map: regions of equal whole numbers"]


@pytest.mark.fault(135, "E")
def test_a_set_without_any_label() -> None:
    cases = [a_case("a", labelled=False), a_case("b_seg", labelled=False)]
    (finding,) = compare(cases, DATA).problems
    assert finding.found == "2 images and no label map; b_seg: of which image?"
    assert compare(cases, DATA, needs_labels=False).problems == ()


@pytest.mark.fault(136, "W")
def test_sparse_labels_are_counted() -> None:
    sparse = SparseLabels(4, 20, "I-S", "every 5th slice")
    cases = [a_case("a", sparse_labels=sparse), a_case("b", sparse_labels=sparse), a_case("c")]
    (note,) = compare(cases, DATA).notes
    assert note.startswith("2 of 3 label maps have labels on some slices only (2 x every 5th slice")


def test_a_copy_without_label_does_no_harm() -> None:
    frame = a_case("frame01", digests=the("x"))
    whole = [
        a_case(f"4d_v{number}", digests=the("x"), labelled=False, label_digest="")
        for number in (1, 2)
    ]
    overview = compare([frame, *whole], DATA)
    assert overview.duplicates.groups == ()
    assert [case.problems for case in (frame, *whole)] == [[], [], []]
    # Where nothing has a label, a scan should still be there once.
    assert compare(whole, DATA).duplicates.groups == (("4d_v1", "4d_v2"),)


def test_cases_without_label_do_not_hide_who_shares_a_patient() -> None:
    names = [f"patient{number:03d}_{frame}" for number in range(4) for frame in ("ed", "es")]
    volumes = [
        a_case(f"patient{number:03d}_4d_v001", patient=f"patient{number:03d}_4d", labelled=False)
        for number in range(4)
    ]
    (note,) = compare([*(a_case(name) for name in names), *volumes], DATA).notes
    assert r"data.patient_pattern='^patient(\d+)'" in note


def test_many_doubles_are_cut() -> None:
    cases = [a_case(f"c{number}", digests=the("x"), label_digest="y") for number in range(7)]
    compare(cases, DATA)
    assert cases[6].problems == ["the same voxels as c0, c1, c2, c3 and 2 more; remove all but one"]


def test_cases_that_could_not_be_read_are_no_doubles() -> None:
    cases = [CheckedCase("a", "a"), CheckedCase("b", "b")]
    overview = compare(cases, DataSection())
    assert [case.problems for case in cases] == [[], []]
    assert overview.duplicates.groups == ()


def test_the_robust_z_by_hand() -> None:
    values = {"a": 1.0, "b": math.e, "c": math.e**2, "d": math.e**3, "e": math.e**10}
    # Logarithms 0, 1, 2, 3, 10: median 2, distances 2, 1, 0, 1, 8, whose median is 1.
    scores = CohortMeasure("size", "mm", values, least_deviation=0.01).robust_z()
    assert scores["e"] == pytest.approx(8 / 1.4826)
    assert scores["a"] == pytest.approx(-2 / 1.4826)


def test_equal_values_have_no_outlier_by_rounding() -> None:
    values = {f"c{number}": 1.0 for number in range(9)} | {"odd": 1.01}
    measure = CohortMeasure("spacing", "mm", values, least_deviation=0.02)
    assert measure.robust_z()["odd"] == pytest.approx(math.log(1.01) / 0.02)
    assert not measure.is_uniform


@pytest.mark.parametrize(
    ("odd", "note"),
    [
        ({"spacing_mm": (1.0, 1.2, 6.0)}, "spacing I-S 6 mm, median 3 mm (robust z +34.7)"),
        ({"shape": (30, 40, 100)}, "voxels I-S 100, median 50 (robust z +13.9)"),
        (
            {"intensities": {"image": Intensities(0, 0, 1, 2, 5)}},
            "intensity range 2, median 200 (robust z -46.1)",
        ),
        ({"structures": {1: 25.0}}, "volume of core 25 ml, median 2.5 ml (robust z +23.0)"),
    ],
)
def test_what_is_unlike_the_rest_is_noted_with_its_number(odd: dict[str, Any], note: str) -> None:
    cases, one = a_set(7, **odd)
    overview = compare(cases, DATA)
    assert one.notes == [note]
    assert not any(case.notes for case in cases[:-1])
    assert not any(case.problems or case.warnings for case in cases)
    assert overview.notes == ()


def test_axes_are_compared_in_the_body_not_in_the_file() -> None:
    cases, one = a_set(7, shape=(50, 30, 40), spacing_mm=(3.0, 1.0, 1.2), orientation="SLP")
    compare(cases, DATA)
    assert one.notes == ["axes SLP, 7 of 8 scans have RAS"]


def test_a_missing_structure_is_noted() -> None:
    data = DataSection(labels={"core": 1, "rim": 2})
    cases = [a_case(f"c{number}", structures={1: 2.5, 2: 1.0}) for number in range(5)]
    cases.append(a_case("odd"))
    overview = compare(cases, data)
    assert cases[-1].notes == ["no rim, 5 of 6 labels have it"]
    assert overview.notes == ()


def test_two_kinds_of_scans_are_no_outliers() -> None:
    cases = [a_case(f"c{number}") for number in range(7)]
    cases += [
        a_case(f"d{number}", spacing_mm=(1.0, 1.2, 6.0), orientation="LPS") for number in range(3)
    ]
    overview = compare(cases, DATA)
    assert not any(case.notes for case in cases)
    (note,) = overview.notes
    assert note == (
        "there are several kinds of scans: "
        "spacing I-S (3 of 10 far from the median 3 mm); axes (7 x RAS, 3 x LPS)"
    )


def test_few_cases_are_not_compared() -> None:
    cases, one = a_set(3, spacing_mm=(9.0, 9.0, 9.0), orientation="LPS")
    compare(cases, DATA)
    assert one.notes == []


def test_structures_that_no_case_has() -> None:
    overview = compare([a_case("a")], DataSection(labels={"core": 1, "rim": 2, "skin": 9}))
    assert overview.notes == (
        "no label map has the value 2 (rim) or the value 9 (skin), which data.labels names",
    )


def test_the_overview_counts() -> None:
    cases = [
        a_case("a", patient="p"),
        a_case("b", patient="p", structures={}),
        a_case("c", patient="q", labelled=False, structures={}, label_digest=""),
        CheckedCase("d", "q", labelled=True, problems=["damaged"]),
        a_case("e", patient="r"),
    ]
    overview = compare(cases, DATA)
    assert isinstance(overview, Overview)
    assert (overview.cases, overview.patients, overview.labelled) == (5, 3, 4)
    assert (overview.empty_labels, overview.unusable) == (1, 1)
    assert overview.shared_patients == (("a", "b"), ("c", "d"))
    assert overview.contrasts == ("image",)


def test_patients_are_numbered_not_named() -> None:
    cases = [a_case("a", patient="MRN 7"), a_case("b", patient="x"), a_case("c", patient="MRN 7")]
    assert patient_numbers(cases) == {"a": 1, "b": 2, "c": 1}


def test_figures_are_short() -> None:
    assert [rounded(value) for value in (0.012345, 3.0, 999.4, 999.7, 1234.5)] == [
        "0.0123", "3", "999", "1,000", "1,234",
    ]  # fmt: skip


def test_label_maps_that_are_all_empty_are_no_labels() -> None:
    cases = [a_case(name, structures={}) for name in "ab"]
    assert [one.found for one in compare(cases, DATA).problems] == [
        "2 label maps without any structure"
    ]
    cases = [a_case("a"), a_case("b", structures={})]
    assert compare(cases, DATA).problems == ()


def test_a_pattern_that_finds_one_patient_for_all() -> None:
    data = DataSection(patient_pattern="(S)")
    cases = [a_case(name, patient="S") for name in "ab"]
    assert [one.found for one in compare(cases, data).problems] == [
        "the same patient for all 2 cases"
    ]
    assert compare(cases[:1], data).problems == ()


def test_images_and_labels_that_were_exchanged() -> None:
    values = dict.fromkeys(range(1, 90), 1.0)
    cases = [a_case(name, structures=values, like_labels=["T1"]) for name in "ab"]
    (finding,) = compare(cases, DATA).problems
    assert "exchange the two" in finding.remedy


@pytest.mark.parametrize("choice", ["refuse", "keep_first"])
def test_thousands_of_copies_of_one_scan(choice: str) -> None:
    same = {"digests": the("x"), "label_digest": "y"}
    cases = [a_case(f"{number:05d}", **same) for number in range(10_000)]
    with linear_time():
        overview = compare(cases, DATA.model_copy(update={"duplicates": choice}))
    assert [len(names) for names in overview.duplicates.groups] == [10_000]
    if choice == "refuse":
        assert cases[2].problems == [
            "the same voxels as 00000, 00001, 00003, 00004 and 9995 more; remove all but one"
        ]
    else:
        assert cases[-1].warnings == ["left out: the same voxels as 00000"]


def test_a_copy_among_others_with_other_intensities() -> None:
    cases = [
        a_case("a", digests={"image": Digests("x", "order")}, label_digest="l"),
        a_case("b", digests={"image": Digests("x", "order")}, label_digest="l"),
        a_case("c", digests={"image": Digests("y", "order")}, label_digest="l"),
    ]
    compare(cases, DATA)
    texts = [case.problems[0].removesuffix("; remove all but one") for case in cases]
    assert texts == [
        "the same voxels as b, c",
        "the same voxels as a, c",
        "the same scan as a, b, with other intensities",
    ]
