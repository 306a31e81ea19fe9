"""Recognises the contrast of a DICOM series by a list of words, without passing free text on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slicewise.imaging.dicom.tags import text

if TYPE_CHECKING:
    from pydicom import Dataset

# Descriptions are free text: only the first of these words that matches is passed on.
WORDS = {
    "localizer": r"loc|localizer|scout|survey|topogram",
    "adc": r"adc",
    "fa": r"fa|colfa",
    "dwi": r"dwi|diff|diffusion|trace\w?|dti",
    "flair": r"flair\w*|darkfluid|tirm",
    "mprage": r"mprage|mp2rage|bravo|tfe3d|spgr",
    "swi": r"swi|swan|venbold",
    "tof": r"tof\w*|mra|angio",
    "bold": r"bold|fmri",
    "perfusion": r"perf|perfusion|dsc|dce|asl|pcasl|pasl",
    "cine": r"cine",
    "t2star": r"t2star|t2\*",
    "stir": r"stir",
    "t1post": r"t1post\w*|t1c|t1gd|t1ce",
    "t1": r"t1\w{0,3}",
    "t2": r"t2\w{0,3}",
    "pd": r"pd\w{0,2}",
}


def contrast_of(dataset: Dataset) -> str:
    """A word such as ``t1`` or ``flair``; empty if none is recognised."""
    described = f"{text(dataset, 'SeriesDescription')} {text(dataset, 'ProtocolName')}"
    words = re.split(r"[^a-z0-9*]+", described.lower()[:256])
    for name, pattern in WORDS.items():
        if any(re.fullmatch(pattern, word) for word in words):
            return name
    return ""
