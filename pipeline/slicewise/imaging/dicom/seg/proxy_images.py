"""Slices of a scan in, what highdicom is shown of them out; and the way back to the slices.

A stand-in is a plain single-frame image that has the slice's place and nothing else of its header.
So enhanced frames, unknown kinds of objects and damaged tags are all encoded alike, and nothing
about the patient can slip through.

Runs in the sandbox's child process only.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slicewise.imaging.dicom.grid import LPS_TO_RAS
from slicewise.imaging.dicom.seg.identity import MR_IMAGE_STORAGE, Identity, blank_patient
from slicewise.imaging.dicom.seg.source_slices import SourceSlice
from slicewise.imaging.dicom.tags import finite_numbers, number, text
from slicewise.imaging.dicom.uids import uid_of
from slicewise.imaging.volume import Affine

if TYPE_CHECKING:
    # At run time both are imported inside the functions: the calling process never needs them.
    from highdicom.seg import Segmentation
    from pydicom import Dataset

COMPUTED_RADIOGRAPHY_STORAGE = "1.2.840.10008.5.1.4.1.1.1"
PIXEL_KEYWORDS = (
    "Rows",
    "Columns",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def proxy_images(
    slices: Sequence[SourceSlice], affine: Affine, identity: Identity
) -> list[Dataset]:
    """One plain image a slice.

    Args:
        slices: of one volume, in its order.
        affine: of the volume.
        identity: under which identifiers the slices are referred to.

    Raises:
        GeometryError: a tag about the plane is absent or no number.
    """
    first = slices[0]
    shared = blank_patient()
    shared.StudyInstanceUID = identity.uid(text(first.header, "StudyInstanceUID"))
    shared.SeriesInstanceUID = identity.uid(text(first.header, "SeriesInstanceUID"))
    for keyword in PIXEL_KEYWORDS:
        if keyword in first.header:
            setattr(shared, keyword, first.header[keyword].value)
    if first.affine is None:
        shared.SOPClassUID = COMPUTED_RADIOGRAPHY_STORAGE
    else:
        shared.SOPClassUID = MR_IMAGE_STORAGE
        _set_grid(shared, slices, affine, identity)
    images = [copy.deepcopy(shared) for _ in slices]
    for place, (image, one) in enumerate(zip(images, slices, strict=True)):
        image.SOPInstanceUID = _proxy_uid(place)
        if one.affine is not None:
            image.ImagePositionPatient = _numbers(one, "ImagePositionPatient", 3)
    return images


def refer_to_slices(
    segmentation: Segmentation, slices: Sequence[SourceSlice], identity: Identity
) -> None:
    """Put the slices into the place of their stand-ins, in every reference of an object."""
    from pydicom import Dataset

    instances = []
    for class_uid, uid in dict.fromkeys((one.class_uid, one.instance_uid) for one in slices):
        instance = Dataset()
        instance.ReferencedSOPClassUID = class_uid
        instance.ReferencedSOPInstanceUID = identity.uid(uid)
        instances.append(instance)
    segmentation.SourceImageSequence = instances
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances
    by_stand_in = {_proxy_uid(place): one for place, one in enumerate(slices)}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0]
        # A copy: frames of several segments share the reference to their slice.
        reference = copy.deepcopy(derivation.SourceImageSequence[0])
        one = by_stand_in[reference.ReferencedSOPInstanceUID]
        reference.ReferencedSOPClassUID = one.class_uid
        reference.ReferencedSOPInstanceUID = identity.uid(one.instance_uid)
        if one.frame is not None:
            reference.ReferencedFrameNumber = one.frame
        derivation.SourceImageSequence = [reference]


def _proxy_uid(place: int) -> str:
    return f"2.25.{place}"


def _set_grid(
    image: Dataset, slices: Sequence[SourceSlice], affine: Affine, identity: Identity
) -> None:
    first = slices[0]
    step_mm = float(np.linalg.norm(affine[:3, 2]))
    thickness_mm = number(first.path, first.header, "SliceThickness") or 0.0
    image.FrameOfReferenceUID = _frame_of_reference(slices, identity)
    image.ImageOrientationPatient = _orientation(slices, affine)
    image.PixelSpacing = _numbers(first, "PixelSpacing", 2)
    image.SliceThickness = _decimal(thickness_mm if thickness_mm > 0 else step_mm)
    # The true distance: what headers state is often something else.
    image.SpacingBetweenSlices = _decimal(step_mm)


def _orientation(slices: Sequence[SourceSlice], affine: Affine) -> list[str]:
    """What the slices say where they agree, otherwise the direction of their common grid."""
    said = {tuple(_numbers(one, "ImageOrientationPatient", 6)) for one in slices}
    if len(said) == 1:
        return list(said.pop())
    axes = (LPS_TO_RAS @ affine)[:3, :2]
    return [_decimal(cosine) for cosine in (axes / np.linalg.norm(axes, axis=0)).T.ravel()]


def _frame_of_reference(slices: Sequence[SourceSlice], identity: Identity) -> str:
    """The slices' own where they agree on one, otherwise one made from that of their series."""
    said = {text(one.header, "FrameOfReferenceUID") for one in slices}
    if len(said) == 1 and "" not in said:
        return identity.uid(said.pop())
    series = identity.uid(text(slices[0].header, "SeriesInstanceUID"))
    return uid_of(hashlib.sha256(f"frame of reference of {series}".encode()).digest())


def _numbers(one: SourceSlice, keyword: str, count: int) -> list[str]:
    return [_decimal(value) for value in finite_numbers(one.path, one.header, keyword, count)]


def _decimal(value: float) -> str:
    """As a decimal string, which has room for 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))
