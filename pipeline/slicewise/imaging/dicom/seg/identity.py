"""The header of a scan in; out what an object derived from it says about the patient.

``pseudonym``, the default, follows the Basic Application Level Confidentiality Profile of PS3.15,
table E.1-1, with the Retain UIDs Option: PatientName and PatientID hold a keyed pseudonym (Z);
PatientBirthDate, PatientSex, AccessionNumber, StudyID, StudyDate, StudyTime and
ReferringPhysicianName are there, because the standard requires them, but empty (Z); ContentDate
and ContentTime, which must not be empty, hold 1900-01-01 00:00 (D). Nothing else of the source is
copied but numbers and codes about pixels and their place: no description, institution, device,
operator, further date or private element can slip through, because none is looked at. The
identifiers of study, series, instances and frame of reference are kept, because a reference to
other ones leads nowhere. PatientIdentityRemoved is YES, LongitudinalTemporalInformationModified is
REMOVED, and DeidentificationMethodCodeSequence holds DCM 113100 (Basic Application
Confidentiality Profile) and DCM 113110 (Retain UIDs Option).

``remap`` is the same without the option: those identifiers are replaced by keyed ones, for use
beside images whose identifiers were replaced by the same key; the code is DCM 113100 alone.

``source`` copies the patient and study modules of the source, and the date of its content, so that
a PACS files the object into the study of the scan.

Whatever the mode, no date of making is written: the same mask of the same scan by the same model
is the same file under the same identifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from slicewise.imaging.dicom.tags import text
from slicewise.imaging.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    # At run time both are imported inside the functions, in the child process.
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
DATES_OF_MAKING = ("InstanceCreationDate", "InstanceCreationTime")
NO_DATE, NO_TIME = "19000101", "000000"


class IdentityMode(StrEnum):
    """How much of the patient's identity goes into a derived object."""

    PSEUDONYM = "pseudonym"
    SOURCE = "source"
    REMAP = "remap"


@dataclass(frozen=True)
class Identity:
    """What derived objects say about patients.

    Attributes:
        mode: see the module.
        pseudonyms: what names patients; every mode but ``source`` needs it.
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
    """The tags about patient and study that every object must have, empty."""
    from pydicom import Dataset

    patient = Dataset()
    for keyword in REQUIRED_KEYWORDS:
        setattr(patient, keyword, "")
    return patient


def settle_identity(segmentation: Segmentation, header: Dataset, identity: Identity) -> None:
    """Make patient and dates of a new object what the mode says.

    Args:
        segmentation: with a blank patient; changed in place.
        header: of the source, complete; its class may be changed.
        identity: whose mode decides.
    """
    for keyword in DATES_OF_MAKING:
        del segmentation[keyword]
    for equipment in segmentation.ContributingEquipmentSequence:
        del equipment.ContributionDateTime
    if identity.mode is IdentityMode.SOURCE:
        _set_moment(segmentation, *_moment(header))
        # The modules are those of any image, but highdicom does not know every kind of image.
        header.SOPClassUID = MR_IMAGE_STORAGE
        segmentation.copy_patient_and_study_information(header)
    else:
        _set_pseudonym(segmentation, header, identity)


def _set_pseudonym(segmentation: Segmentation, header: Dataset, identity: Identity) -> None:
    from highdicom.sr import CodedConcept
    from pydicom.sr.codedict import codes

    assert identity.pseudonyms is not None
    # Without an id, a pseudonym of the study keeps strangers apart.
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
    """Date and time of the source's content, or of its study; what is no date does not count."""
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
