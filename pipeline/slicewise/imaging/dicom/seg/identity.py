"""Patient identity in derived DICOM objects: pseudonymised, remapped, or as in the source.

``pseudonym``, the default, follows the Basic Application Level Confidentiality Profile of PS3.15,
table E.1-1, with the Retain UIDs Option: PatientName and PatientID hold a keyed pseudonym (Z);
PatientBirthDate, PatientSex, AccessionNumber, StudyID, StudyDate, StudyTime and
ReferringPhysicianName, which the standard requires, are empty (Z); ContentDate
and ContentTime, which must not be empty, are 1900-01-01 00:00 (D). Of the source, only numbers and
codes about pixels and their position are copied: no description, institution, device, operator,
further date or private element. The identifiers of study, series, instances and frame of reference
are kept, because the object refers to them. PatientIdentityRemoved is YES,
LongitudinalTemporalInformationModified is REMOVED, and DeidentificationMethodCodeSequence holds
DCM 113100 (Basic Application Confidentiality Profile) and DCM 113110 (Retain UIDs Option).

``remap`` is the same without the option: these identifiers are replaced by keyed ones, for use with
images whose identifiers were replaced with the same key; the code is DCM 113100 only.

``source`` copies the patient and study modules and the content date of the source, so that a PACS
adds the object to the study of the scan.

No mode writes the date of creation, so that the output is deterministic.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from slicewise.imaging.dicom.tags import text
from slicewise.imaging.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    # Imported inside the functions at run time, because the main process does not need them.
    from highdicom.seg import Segmentation
    from pydicom import Dataset

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
REQUIRED_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
CREATION_DATES = ("InstanceCreationDate", "InstanceCreationTime")
NO_DATE, NO_TIME = "19000101", "000000"


class IdentityMode(StrEnum):
    """How the patient is identified in a derived object."""

    PSEUDONYM = "pseudonym"
    SOURCE = "source"
    REMAP = "remap"


@dataclass(frozen=True)
class Identity:
    """How derived objects identify patients.

    Attributes:
        mode: see the module docstring.
        pseudonyms: required by all modes except ``source``.
    """

    mode: IdentityMode = IdentityMode.PSEUDONYM
    pseudonyms: Pseudonyms | None = None

    def __post_init__(self) -> None:
        assert self.mode is IdentityMode.SOURCE or self.pseudonyms is not None, self.mode

    def uid(self, uid: str) -> str:
        """The identifier under which a derived object refers to an object of the source."""
        if self.mode is not IdentityMode.REMAP:
            return uid
        assert self.pseudonyms is not None
        return self.pseudonyms.uid(uid)


def blank_patient() -> Dataset:
    """The required tags about patient and study, empty."""
    from pydicom import Dataset

    patient = Dataset()
    for keyword in REQUIRED_KEYWORDS:
        setattr(patient, keyword, "")
    return patient


def set_identity(segmentation: Segmentation, header: Dataset, identity: Identity) -> None:
    """Set patient and dates of a new object according to the mode.

    Args:
        segmentation: with a blank patient; changed in place.
        header: of the source, complete; its class may be changed.
        identity: mode and pseudonyms.
    """
    for keyword in CREATION_DATES:
        del segmentation[keyword]
    for equipment in segmentation.ContributingEquipmentSequence:
        del equipment.ContributionDateTime
    if identity.mode is IdentityMode.SOURCE:
        _set_moment(segmentation, *_moment(header))
        # The modules are common to all images, but highdicom does not support every class.
        header.SOPClassUID = MR_IMAGE_STORAGE
        segmentation.copy_patient_and_study_information(header)
    else:
        _set_pseudonym(segmentation, header, identity)


def _set_pseudonym(segmentation: Segmentation, header: Dataset, identity: Identity) -> None:
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    assert identity.pseudonyms is not None
    # Without an id, different studies get different pseudonyms.
    known_as = text(header, "PatientID").strip() or text(header, "StudyInstanceUID")
    segmentation.PatientName = segmentation.PatientID = identity.pseudonyms.name(known_as)
    segmentation.PatientIdentityRemoved = "YES"
    methods = [codes.DCM.BasicApplicationConfidentialityProfile]
    if identity.mode is IdentityMode.PSEUDONYM:
        methods.append(codes.DCM.RetainUidsOption)
    segmentation.DeidentificationMethodCodeSequence = [
        CodedConcept.from_code(method) for method in methods
    ]
    segmentation.LongitudinalTemporalInformationModified = "REMOVED"
    _set_moment(segmentation, NO_DATE, NO_TIME)


def _set_moment(segmentation: Segmentation, date: str, time: str) -> None:
    from pydicom.valuerep import DA, TM

    segmentation.ContentDate, segmentation.ContentTime = DA(date), TM(time)


def _moment(header: Dataset) -> tuple[str, str]:
    """Date and time of content, acquisition or study; invalid dates are ignored."""
    for kind in ("Content", "Acquisition", "Study"):
        date, time = text(header, f"{kind}Date"), text(header, f"{kind}Time")[:6]
        if _is_moment(date, "%Y%m%d", 8):
            return date, time if _is_moment(time, "%H%M%S", 6) else NO_TIME
    return NO_DATE, NO_TIME


def _is_moment(value: str, form: str, digits: int) -> bool:
    try:
        datetime.strptime(value, form)
    except ValueError:
        return False
    return len(value) == digits
