"""Segments of a DICOM SEG: coded names, colours and label values of structures.

The number of a segment is its index in the object. Its value in the label map is stored in its
description, from which ``label_values`` restores it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import CodedTerm
from slicewise.errors import LabelError
from slicewise.imaging.structures import Structure, plain_name

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from highdicom.seg import SegmentDescription
    from pydicom import Dataset
    from pydicom.sr.coding import Code

ANATOMICAL_STRUCTURE = CodedTerm(value="91723000", meaning="Anatomical Structure")
TISSUE = CodedTerm(value="85756007", meaning="Tissue")
# Categories of CID 7150, by the context group of their types (CID 7151).
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
    """The algorithm that created a mask.

    Attributes:
        name: of the model, up to 64 characters.
        version: of the model, up to 64 characters.
    """

    name: str
    version: str


def coded(structure: Structure) -> tuple[CodedTerm, CodedTerm]:
    """Segmented property category and type of a structure.

    The type is the configured one; otherwise the concept of PS3.16 CID 7151 (mostly SNOMED CT) with
    the name of the structure, ignoring spaces and case; otherwise Tissue. The category is the
    configured one; otherwise that of the type, which is Anatomical Structure for a configured type
    that the standard does not list.
    """
    found = _listed(structure)
    if structure.type is not None:
        category, kind = found[0] if found else ANATOMICAL_STRUCTURE, structure.type
    else:
        category, kind = found or (TISSUE, TISSUE)
    return structure.category or category, kind


def _listed(structure: Structure) -> tuple[CodedTerm, CodedTerm] | None:
    """Category and type in the standard, if the structure is listed."""
    from pydicom.sr.codedict import codes

    for group, category in CATEGORIES.items():
        for keyword, concept in getattr(codes, group).concepts.items():
            if _matches(structure, keyword, concept):
                value, scheme, meaning, _ = concept
                return category, CodedTerm(value=value, scheme=scheme, meaning=meaning)
    return None


def _matches(structure: Structure, keyword: str, concept: Code) -> bool:
    if structure.type is None:
        return keyword.casefold() == re.sub(r"[\W_]", "", structure.name).casefold()
    return concept[:2] == (structure.type.value, structure.type.scheme)


def described(structure: Structure, number: int, algorithm: Algorithm) -> SegmentDescription:
    """The description of the segment of a structure.

    Args:
        structure: of the segment.
        number: of the segment, from 1.
        algorithm: that created it.
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
    """Label value of each segment number, without the background; and warnings.

    Values are taken from the descriptions if each has a distinct one; otherwise from the configured
    structures with the names of the segments; otherwise, if no name matches, they are the segment
    numbers.

    Args:
        segmentation: the DICOM SEG.
        names: structure name to value, as configured; case and spaces are ignored.
        where: file, for messages.

    Raises:
        LabelError: only some of the segments have configured names.
    """
    background = {0, int(segmentation.get("PixelPaddingValue", 0))}
    segments = {
        int(one.SegmentNumber): str(one.get("SegmentDescription", ""))
        for one in segmentation.SegmentSequence
        if int(one.SegmentNumber) not in background
    }
    stored = [re.fullmatch(_VALUE.format(r"(\d{1,9})"), text) for text in segments.values()]
    values = [int(one[1]) for one in stored if one]
    if len(set(values)) == len(segments):
        return dict(zip(segments, values, strict=True)), ()
    by_name = {plain_name(name): value for name, value in names.items()}
    labels = {int(one.SegmentNumber): one.SegmentLabel for one in segmentation.SegmentSequence}
    named = {number: by_name.get(plain_name(str(labels[number]))) for number in segments}
    unnamed = [number for number, value in named.items() if value is None]
    if not unnamed:
        return {number: value for number, value in named.items() if value is not None}, ()
    if len(unnamed) < len(segments):
        raise LabelError(
            where,
            expected="names of data.labels for all segments, or for none",
            found=f"other names for the segments {unnamed}",
            remedy="add these structures to data.labels",
        )
    text = "segment numbers are used as values, because no segment has a name of data.labels"
    return {number: number for number in segments}, (text,) if names else ()


def is_automatic(segmentation: Dataset) -> bool:
    """Whether all segments were created without a person."""
    kinds = {one.get("SegmentAlgorithmType") for one in segmentation.SegmentSequence}
    return kinds == {"AUTOMATIC"}


def _code(term: CodedTerm) -> Code:
    from pydicom.sr.coding import Code

    return Code(term.value, term.scheme, term.meaning)
