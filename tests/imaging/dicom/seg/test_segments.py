"""Structures are named by the codes of the standard, as far as it has a word for them."""

from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from slicewise.config import CodedTerm
from slicewise.imaging.dicom.seg.segments import CATEGORIES, coded
from slicewise.imaging.structures import Structure

ANATOMICAL_STRUCTURE = ("91723000", "SCT")
MORPHOLOGICALLY_ABNORMAL = ("49755003", "SCT")
TISSUE = ("85756007", "SCT")


def codes_of(structure: Structure) -> list[tuple[str, str]]:
    return [(term.value, term.scheme) for term in coded(structure)]


@pytest.mark.parametrize(
    ("name", "category", "kind"),
    [
        ("left_ventricle", ANATOMICAL_STRUCTURE, ("87878005", "SCT")),
        ("Left Ventricle", ANATOMICAL_STRUCTURE, ("87878005", "SCT")),
        ("hippocampus", ANATOMICAL_STRUCTURE, ("5366008", "SCT")),
        ("liver", ANATOMICAL_STRUCTURE, ("10200004", "SCT")),
        ("lesion", MORPHOLOGICALLY_ABNORMAL, ("52988006", "SCT")),
        ("anterior hippocampus", TISSUE, TISSUE),
        ("__", TISSUE, TISSUE),
        # A word of SNOMED CT, but nothing that is segmented.
        ("surgical procedure", TISSUE, TISSUE),
    ],
)
def test_name_is_looked_up(name: str, category: tuple[str, str], kind: tuple[str, str]) -> None:
    assert codes_of(Structure(name, 1, "#000000")) == [category, kind]


def test_configured_codes_come_first() -> None:
    lesion = CodedTerm(value="52988006", meaning="Lesion")
    mine = CodedTerm(value="42", scheme="99MINE", meaning="mine")
    kind_only = Structure("liver", 1, "#000000", type=lesion)
    assert codes_of(kind_only) == [MORPHOLOGICALLY_ABNORMAL, ("52988006", "SCT")]
    unlisted = Structure("liver", 1, "#000000", type=mine)
    assert codes_of(unlisted) == [ANATOMICAL_STRUCTURE, ("42", "99MINE")]
    category_only = Structure("liver", 1, "#000000", category=mine)
    assert codes_of(category_only) == [("42", "99MINE"), ("10200004", "SCT")]


def test_categories_are_those_of_the_standard() -> None:
    listed = {(one.value, one.meaning) for one in codes.CID7150.concepts.values()}
    assert {(term.value, term.meaning) for term in CATEGORIES.values()} <= listed
