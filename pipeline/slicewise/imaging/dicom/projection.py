"""A radiograph in; out the grid that its pixels get, since it has no place in the patient."""

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
RADIOGRAPH = "radiograph"
"""Takes the place of the contrast in the name."""


def is_projection(dataset: Dataset) -> bool:
    """Whether the image is a shadow, which lies on no plane of the patient."""
    return text(dataset, "SOPClassUID") in PROJECTION_CLASSES


def place(path: Path, dataset: Dataset) -> tuple[str, ...]:
    """Give a radiograph the place of an axial slice at the origin; says so.

    Columns run to the patient's left and rows to the back, each as long as the pixels are on the
    detector, or 1 mm where that is not stated.
    """
    spacing, said = ["1", "1"], "no pixel spacing is stated: 1 mm is taken"
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        if dataset.get(keyword):
            row_mm, column_mm = finite_numbers(path, dataset, keyword, 2)
            spacing = [str(row_mm), str(column_mm)]
            said = "lengths are those on the detector" if keyword[0] == "I" else ""
            break
    dataset.PixelSpacing = spacing
    dataset.ImagePositionPatient = ["0", "0", "0"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceThickness = str(THICKNESS_MM)
    notes = ("a radiograph: its grid is that of its pixels, not a place in the patient", said)
    return tuple(note for note in notes if note)
