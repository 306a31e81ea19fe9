"""Radiographs, which get a conventional geometry because they have none in the patient."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.imaging.dicom.tags import finite_numbers, text

if TYPE_CHECKING:
    from pydicom import Dataset

PROJECTION_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # computed radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # digital X-ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # and for processing
    "1.2.840.10008.5.1.4.1.1.1.2",  # digital mammography
    "1.2.840.10008.5.1.4.1.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.1.3",  # digital intra-oral X-ray
    "1.2.840.10008.5.1.4.1.1.1.3.1",
)
THICKNESS_MM = 1.0
UNKNOWN_SPACING = "the pixel spacing is unknown: sizes are in pixels"
RADIOGRAPH = "radiograph"
"""Used instead of a contrast in the name."""


def is_projection(dataset: Dataset) -> bool:
    """Whether the image is a projection, which has no plane in the patient."""
    return text(dataset, "SOPClassUID") in PROJECTION_CLASSES


def place(path: Path, dataset: Dataset) -> tuple[str, ...]:
    """Set the geometry of a radiograph to that of an axial slice at the origin; return warnings.

    Columns run to the patient's left and rows to the back, with the pixel spacing on the detector,
    or 1 mm if that is unknown.
    """
    spacing, note = ["1", "1"], UNKNOWN_SPACING
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if dataset.get(keyword):
            row_mm, column_mm = finite_numbers(path, dataset, keyword, 2)
            spacing = [str(row_mm), str(column_mm)]
            note = "the pixel spacing is that on the detector" if keyword[0] == "I" else ""
            break
    dataset.PixelSpacing = spacing
    dataset.ImagePositionPatient = ["0", "0", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceThickness = str(THICKNESS_MM)
    notes = ("a radiograph has no position in the patient; its grid is that of its pixels", note)
    return tuple(text for text in notes if text)
