"""Checksums of the pixels of DICOM frames; runs in a child process of the sandbox only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from slicewise.imaging.dicom.opening import open_dicom
from slicewise.imaging.dicom.tags import unreadable

KEYWORDS = [
    "PixelData",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
]


def pixel_digests(frames: Sequence[tuple[Path, int]]) -> list[str]:
    """Checksums of the stored pixels of frames, given as file and frame number.

    Raises:
        ScanError: the pixel data of a file cannot be read.
    """
    from pydicom.encaps import get_frame
    from pydicom.pixels import pixel_array

    digests = []
    for path, run in groupby(frames, key=lambda frame: frame[0]):
        try:
            dataset = open_dicom(path, specific_tags=KEYWORDS)
            stored = dataset.PixelData
            count = int(dataset.get("NumberOfFrames") or 1)
            for _, number in run:
                if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                    pixels = get_frame(stored, number, number_of_frames=count)
                elif count > 1:
                    pixels = pixel_array(dataset, index=number).tobytes()
                else:
                    pixels = stored
                digests.append(hashlib.sha256(pixels).hexdigest())
        except Exception as error:  # a hostile file can make the parser raise anything
            raise unreadable(path, "pixel data", error) from None
    return digests
