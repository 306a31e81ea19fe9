"""Proxy images, which represent the slices of a scan in calls of highdicom.

A proxy image is a single-frame image with the geometry of a slice and nothing else of its header.
So enhanced frames, unknown types of objects and damaged tags are encoded in the same way, and no
information about the patient is copied.

Runs in a child process of the sandbox only.
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
    # Imported inside the functions at run time, because the main process does not need them.
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
    """One proxy image per slice.

    Args:
        slices: of one volume, in its order.
        affine: of the volume.
        identity: which identifiers of the slices are used.

    Raises:
        GeometryError: a tag of the plane is absent or not numeric.
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
    """Replace proxy images by their slices in all references of an object."""
    from pydicom import Dataset

    instances = []
    for class_uid, uid in dict.fromkeys((one.class_uid, one.instance_uid) for one in slices):
        instance = Dataset()
        instance.ReferencedSOPClassUID = class_uid
        instance.ReferencedSOPInstanceUID = identity.uid(uid)
        instances.append(instance)
    segmentation.SourceImageSequence = instances
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = instances
    by_proxy = {_proxy_uid(place): one for place, one in enumerate(slices)}
    for group in segmentation.PerFrameFunctionalGroupsSequence:
        derivation = group.DerivationImageSequence[0]
        # A copy: frames of several segments share the reference to their slice.
        reference = copy.deepcopy(derivation.SourceImageSequence[0])
        one = by_proxy[reference.ReferencedSOPInstanceUID]
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
    # The true distance, which often differs from the header.
    image.SpacingBetweenSlices = _decimal(step_mm)


def _orientation(slices: Sequence[SourceSlice], affine: Affine) -> list[str]:
    """Orientation of the slices if they share one, otherwise that of their grid."""
    found = {tuple(_numbers(one, "ImageOrientationPatient", 6)) for one in slices}
    if len(found) == 1:
        return list(found.pop())
    axes = (LPS_TO_RAS @ affine)[:3, :2]
    return [_decimal(cosine) for cosine in (axes / np.linalg.norm(axes, axis=0)).T.ravel()]


def _frame_of_reference(slices: Sequence[SourceSlice], identity: Identity) -> str:
    """That of the slices if they share one, otherwise derived from their series."""
    found = {text(one.header, "FrameOfReferenceUID") for one in slices}
    if len(found) == 1 and "" not in found:
        return identity.uid(found.pop())
    series = identity.uid(text(slices[0].header, "SeriesInstanceUID"))
    return uid_of(hashlib.sha256(f"frame of reference of {series}".encode()).digest())


def _numbers(one: SourceSlice, keyword: str, count: int) -> list[str]:
    return [_decimal(value) for value in finite_numbers(one.path, one.header, keyword, count)]


def _decimal(value: float) -> str:
    """Decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value))
