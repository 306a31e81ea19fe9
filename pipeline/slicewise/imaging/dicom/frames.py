"""Converts frames of enhanced multi-frame DICOM to flat datasets, as of classic DICOM.

The attributes of a frame are stored in functional groups: sequences of one item, either shared or
per frame (PS3.3 C.7.6.16). Flattened, they are read by the same code as single-frame files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import GeometryError, ScanError

if TYPE_CHECKING:
    from pydicom import Dataset

MAXIMUM_FRAMES = 20_000
SHARED = "SharedFunctionalGroupsSequence"
PER_FRAME = "PerFrameFunctionalGroupsSequence"
GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "FrameContentSequence",
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "MREchoSequence",
    "MRDiffusionSequence",
    "MRModifierSequence",
    "MRTimingAndRelatedParametersSequence",
    "TemporalPositionSequence",
    "CardiacSynchronizationSequence",
    "DiffusionGradientDirectionSequence",
)
PHILIPS_FRAME = (0x2005, 0x140F)
PHILIPS_SCALE_SLOPE = (0x2005, 0x100E)
CLASSIC_NAMES = {
    "FrameType": "ImageType",
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionTime",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
}


def is_multi_frame(dataset: Dataset) -> bool:
    """Whether an object describes its frames by functional groups."""
    return PER_FRAME in dataset or SHARED in dataset


def frame_count(path: Path, dataset: Dataset) -> int:
    """Number of frames; 1 if the tag is absent.

    Raises:
        ScanError: invalid, or different from the number of frames that are described.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    if not 1 <= count <= MAXIMUM_FRAMES:
        raise ScanError(
            f"{path}: NumberOfFrames",
            expected=f"1 to {MAXIMUM_FRAMES} frames",
            found=f"{count} frames",
            remedy="the header is damaged or malicious; export the series again",
        )
    described = len(dataset.get(PER_FRAME) or ())
    if described != count and (count > 1 or described):
        raise GeometryError(
            f"{path}: {PER_FRAME}",
            expected=f"the position of each of the {count} frames",
            found=f"{described} descriptions",
            remedy="export the series as enhanced or as single-frame DICOM",
        )
    return count


def flat_frame(dataset: Dataset, number: int) -> Dataset:
    """Dataset of one frame, with its attributes at the top level under their classic keywords.

    Args:
        dataset: an enhanced multi-frame object.
        number: of the frame, from 0.
    """
    from pydicom import Dataset
    from pydicom.tag import Tag

    groups = {Tag(SHARED), Tag(PER_FRAME)}
    flat = Dataset()
    flat.update({tag: element for tag, element in dataset.items() if tag not in groups})
    flat.file_meta = dataset.file_meta
    flat.preamble = getattr(dataset, "preamble", None)
    for sequence in (dataset.get(SHARED) or ())[:1], (dataset.get(PER_FRAME) or ())[number:][:1]:
        for item in sequence:
            _flatten(item, flat)
    return flat


def _flatten(group: Dataset, flat: Dataset) -> None:
    from pydicom import DataElement
    from pydicom.tag import Tag

    if PHILIPS_FRAME in group and PHILIPS_SCALE_SLOPE in group[PHILIPS_FRAME][0]:
        flat[PHILIPS_SCALE_SLOPE] = group[PHILIPS_FRAME][0][PHILIPS_SCALE_SLOPE]
    for keyword in GROUPS:
        for item in (group.get(keyword) or ())[:1]:
            for element in item:
                if element.keyword and element.keyword not in GROUPS:
                    tag = Tag(CLASSIC_NAMES.get(element.keyword, element.keyword))
                    flat[tag] = DataElement(tag, element.VR, element.value, already_converted=True)
            _flatten(item, flat)
