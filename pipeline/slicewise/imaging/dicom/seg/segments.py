"""Structures in, the segments of a DICOM SEG out: coded names, colours, and the label values.

A segment's number is its place in the object. The value that it has in the label map is written
into its description, from which ``label_values`` restores it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import CodedTerm
from slicewise.errors import LabelError
from slicewise.imaging.structures import Structure

if TYPE_CHECKING:
    # At run time both are imported inside the functions, in the child process.
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset
    from pydicom.sr.coding import Code

ANATOMICAL_STRUCTURE = CodedTerm(value="91723000", meaning="Anatomical Structure")
TISSUE = CodedTerm(value="85756007", meaning="Tissue")
# Categories of CID 7150, each with the context group of the types that belong to it (CID 7151).
CATEGORIES = {
    "CID7191": TISSUE,
    "CID7192": ANATOMICAL_STRUCTURE,
    "CID7193": CodedTerm(value="260787004", meaning="Physical object"),
    "CID7194": CodedTerm(value="49755003", meaning="Morphologically Abnormal Structure"),
    "CID7195": CodedTerm(value="246464006", meaning="Function"),
    "CID7196": CodedTerm(value="309825002", meaning="Spatial and Relational Concept"),
}
_VALUE = "label value {}"


@dataclass(frozen=True)
class Algorithm:
    """What made a mask.

    Attributes:
        name: of the model, up to 64 characters.
        version: of the model, up to 64 characters.
    """

    name: str
    version: str


def coded(structure: Structure) -> tuple[CodedTerm, CodedTerm]:
    """Category and type of what a structure's voxels are.

    The type is the configured one; otherwise the concept of the standard's segmentation property
    types (PS3.16 CID 7151, mostly SNOMED CT) that is called like the structure, spaces and case
    aside; otherwise Tissue. The category is the configured one; otherwise that of the type, which
    is Anatomical Structure for a configured type that the standard does not list.
    """
    found = _listed(structure)
    if structure.type is not None:
        category, kind = found[0] if found else ANATOMICAL_STRUCTURE, structure.type
    else:
        category, kind = found or (TISSUE, TISSUE)
    return structure.category or category, kind


def _listed(structure: Structure) -> tuple[CodedTerm, CodedTerm] | None:
    """Category and type of the standard's concept for a structure, if there is one."""
    from pydicom.sr.codedict import codes

    for group, category in CATEGORIES.items():
        for keyword, concept in getattr(codes, group).concepts.items():
            if _means(structure, keyword, concept):
                value, scheme, meaning, _ = concept
                return category, CodedTerm(value=value, scheme=scheme, meaning=meaning)
    return None


def _means(structure: Structure, keyword: str, concept: Code) -> bool:
    if structure.type is None:
        return keyword.casefold() == re.sub(r"[\W_]", "", structure.name).casefold()
    return concept[:2] == (structure.type.value, structure.type.scheme)


def described(structure: Structure, number: int, algorithm: Algorithm) -> SegmentDescription:
    """The segment of a structure.

    Args:
        structure: what the segment shows.
        number: of the segment, from 1.
        algorithm: what found it.
    """
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    category, kind = coded(structure)
    segment = SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=_code(category),
        segmented_property_type=_code(kind),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm.name,
            family=codes.DCM.ArtificialIntelligence,
            version=algorithm.version,
        ),
        display_color=CIELabColor.from_rgb(*structure.rgb),
    )
    segment.SegmentDescription = _VALUE.format(structure.value)
    return segment


def label_values(
    segmentation: Dataset, names: Mapping[str, int], where: Path
) -> tuple[dict[int, int], tuple[str, ...]]:
    """Value in a label map of each segment number, the background's aside; and what to know.

    The values are those that the segments were written from, where every description tells one
    and no two the same; otherwise those of the names that the segments bear; otherwise, where
    none bears such a name, the numbers of the segments.

    Args:
        segmentation: the DICOM SEG.
        names: structure name to value, as configured; case and spaces do not matter.
        where: the file that errors name.

    Raises:
        LabelError: some segments bear a configured name, and others do not.
    """
    background = {0, int(segmentation.get("PixelPaddingValue", 0))}
    segments = {
        int(one.SegmentNumber): str(one.get("SegmentDescription", ""))
        for one in segmentation.SegmentSequence
        if int(one.SegmentNumber) not in background
    }
    told = [re.fullmatch(_VALUE.format(r"(\d{1,9})"), text) for text in segments.values()]
    values = [int(one[1]) for one in told if one]
    if len(set(values)) == len(segments):
        return dict(zip(segments, values, strict=True)), ()
    by_name = {_plain(name): value for name, value in names.items()}
    labels = {int(one.SegmentNumber): one.SegmentLabel for one in segmentation.SegmentSequence}
    named = {number: by_name.get(_plain(str(labels[number]))) for number in segments}
    unnamed = [number for number, value in named.items() if value is None]
    if not unnamed:
        return {number: value for number, value in named.items() if value is not None}, ()
    if len(unnamed) < len(segments):
        raise LabelError(
            where,
            expected="the names of data.labels for every segment, or for none",
            found=f"other names for the segments {unnamed}",
            remedy="name these structures in data.labels, too",
        )
    text = "the numbers of the segments are taken as values: none bears a name of data.labels"
    return {number: number for number in segments}, (text,) if names else ()


def is_automatic(segmentation: Dataset) -> bool:
    """Whether no person drew or corrected any of the segments."""
    kinds = {one.get("SegmentAlgorithmType") for one in segmentation.SegmentSequence}
    return kinds == {"AUTOMATIC"}


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().casefold()


def _code(term: CodedTerm) -> Code:
    from pydicom.sr.coding import Code

    return Code(term.value, term.scheme, term.meaning)
