"""What a DICOM SEG says about the patient: a pseudonym, everything, or nothing that leads back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import generate_uid

from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.pseudonyms import Pseudonyms
from slicewise.imaging.sandbox import Sandbox
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Write = Callable[[list[FileDataset]], Path]
Only = Callable[..., DicomSeries]
Export = Callable[..., Dataset]

# One of a kind each, so that finding one tells where it came from.
TOKENS = {
    "PatientName": "Zaphodtoken^Beeble",
    "PatientID": "TOKENID0815",
    "OtherPatientIDs": "TOKENOTHERID",
    "PatientComments": "token-comments",
    "PatientAddress": "token-address",
    "EthnicGroup": "TOKENETHNIC",
    "Occupation": "TOKENOCCUP",
    "AdditionalPatientHistory": "token-history",
    "AccessionNumber": "TOKENACC",
    "StudyID": "TOKENSTUDY",
    "StudyDescription": "token-study-description",
    "SeriesDescription": "token-series-description",
    "ProtocolName": "token-protocol",
    "ReferringPhysicianName": "Tokenreferrer^A",
    "PerformingPhysicianName": "Tokenperformer^B",
    "OperatorsName": "Tokenoperator^C",
    "NameOfPhysiciansReadingStudy": "Tokenreader^D",
    "InstitutionName": "token-institution",
    "InstitutionAddress": "token-street",
    "InstitutionalDepartmentName": "token-department",
    "StationName": "TOKENSTATION",
    "Manufacturer": "token-manufacturer",
    "ManufacturerModelName": "token-model",
    "DeviceSerialNumber": "token-serial",
    "ImageComments": "token-image-comments",
    "PositionReferenceIndicator": "token-indicator",
    "ClinicalTrialSubjectID": "token-subject",
    "ClinicalTrialSponsorName": "token-sponsor",
    "IssuerOfPatientID": "token-issuer",
    "RequestingService": "token-service",
}
DATES = {
    "PatientBirthDate": "19310417",
    "StudyDate": "20140218",
    "SeriesDate": "20140219",
    "AcquisitionDate": "20140220",
    "ContentDate": "20140221",
    "StudyTime": "111213",
    "SeriesTime": "111214",
    "AcquisitionTime": "111215",
    "ContentTime": "111216",
}
PRIVATE_TOKEN = "token-private"
UID = re.compile(rb"\d+(\.\d+){3,}")
"""Random digits, among which any time of the day may stand by chance."""


def said(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword, ""))


@pytest.fixture
def sources(phantom: Any) -> list[FileDataset]:
    """Slices with a token in every place that could identify somebody."""
    uids = {"StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    datasets = phantom.datasets(**TOKENS, **DATES, **uids, PatientSex="M", PatientAge="083Y")
    for dataset in datasets:
        block = dataset.private_block(0x0009, "TOKEN CREATOR", create=True)
        block.add_new(1, "LO", PRIVATE_TOKEN)
    return datasets


@pytest.fixture
def pseudonyms(tmp_path: Path) -> Pseudonyms:
    return Pseudonyms.of(tmp_path / "private")


@pytest.fixture
def export(
    write_dicom: Write, only: Only, pseudonyms: Pseudonyms, sandbox: Sandbox, tmp_path: Path
) -> Export:
    """The SEG of one labelled voxel, read back; its bytes are beside it."""

    def export(sources: list[FileDataset], mode: IdentityMode) -> Dataset:
        series = only(write_dicom(sources))
        labels = np.zeros(series.shape, dtype=np.uint8)
        labels[3, 2, 1] = 1
        write_segmentation(
            Volume(labels, series.affine),
            series,
            [Structure("liver", 1, "#E69F00")],
            Algorithm("unet", "1"),
            tmp_path / "mask.dcm",
            Identity(mode, pseudonyms),
            sandbox,
        )
        return dcmread(tmp_path / "mask.dcm")

    return export


@pytest.mark.fault(95, "OK")
@pytest.mark.parametrize("mode", [IdentityMode.PSEUDONYM, IdentityMode.REMAP])
def test_no_token_of_the_source_is_in_the_file(
    sources: list[FileDataset], export: Export, tmp_path: Path, mode: IdentityMode
) -> None:
    export(sources, mode)
    content = UID.sub(b"", (tmp_path / "mask.dcm").read_bytes()).lower()
    parts = {part for token in TOKENS.values() for part in token.lower().split("^")}
    for token in {*parts, "token", *DATES.values(), PRIVATE_TOKEN, "083y"} - {"a", "b", "c", "d"}:
        assert token.encode() not in content, token


def test_pseudonym_is_keyed_and_says_what_was_done(
    sources: list[FileDataset], export: Export, pseudonyms: Pseudonyms
) -> None:
    written = export(sources, IdentityMode.PSEUDONYM)
    name = pseudonyms.name("TOKENID0815")
    assert (written.PatientName, written.PatientID) == (name, name)
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        assert keyword in written
        assert said(written, keyword) in ("", "None")
    assert (written.ContentDate, written.ContentTime) == ("19000101", "000000")
    assert written.PatientIdentityRemoved == "YES"
    assert written.LongitudinalTemporalInformationModified == "REMOVED"
    codes = written.DeidentificationMethodCodeSequence
    assert [(one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning) for one in codes] == [
        ("113100", "DCM", "Basic Application Confidentiality Profile"),
        ("113110", "DCM", "Retain UIDs Option"),
    ]
    assert written.StudyInstanceUID == sources[0].StudyInstanceUID
    assert written.FrameOfReferenceUID == sources[0].FrameOfReferenceUID
    referred = written.ReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == sources[0].SeriesInstanceUID


def test_remap_replaces_every_identifier_by_the_one_of_the_key(
    sources: list[FileDataset], export: Export, pseudonyms: Pseudonyms, tmp_path: Path
) -> None:
    written = export(sources, IdentityMode.REMAP)
    first = sources[0]
    assert written.StudyInstanceUID == pseudonyms.uid(first.StudyInstanceUID)
    assert written.FrameOfReferenceUID == pseudonyms.uid(first.FrameOfReferenceUID)
    referred = written.ReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == pseudonyms.uid(first.SeriesInstanceUID)
    expected = [pseudonyms.uid(one.SOPInstanceUID) for one in sources]
    for instances in (referred.ReferencedInstanceSequence, written.SourceImageSequence):
        assert [one.ReferencedSOPInstanceUID for one in instances] == expected
    frame = written.PerFrameFunctionalGroupsSequence[0]
    source = frame.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == expected[1]
    content = (tmp_path / "mask.dcm").read_bytes()
    uids = {first.StudyInstanceUID, first.SeriesInstanceUID, first.FrameOfReferenceUID}
    for uid in uids | {one.SOPInstanceUID for one in sources}:
        assert uid.encode() not in content
    codes = written.DeidentificationMethodCodeSequence
    assert [one.CodeValue for one in codes] == ["113100"]


def test_source_is_filed_into_the_study_of_the_scan(
    sources: list[FileDataset], export: Export
) -> None:
    written = export(sources, IdentityMode.SOURCE)
    kept = (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "PatientAge",
        "PatientComments",
        "AccessionNumber",
        "StudyID",
        "StudyDate",
        "StudyTime",
        "StudyDescription",
        "ReferringPhysicianName",
        "ClinicalTrialSubjectID",
        "StudyInstanceUID",
    )
    assert {key: said(written, key) for key in kept} == {key: said(sources[0], key) for key in kept}
    assert (written.ContentDate, written.ContentTime) == ("20140221", "111216")
    assert "PatientIdentityRemoved" not in written
    assert "InstitutionName" not in written
    assert written.SeriesDescription == "Segmentation by unet"


@pytest.mark.parametrize(
    ("changed", "moment"),
    [
        ({"ContentDate": ""}, ("20140220", "111215")),
        ({"ContentDate": "20140230"}, ("20140220", "111215")),
        ({"ContentTime": "", "AcquisitionTime": ""}, ("20140221", "000000")),
        ({"ContentTime": "111216.250000"}, ("20140221", "111216")),
        (dict.fromkeys(["ContentDate", "AcquisitionDate", "StudyDate"]), ("19000101", "000000")),
    ],
)
def test_date_of_the_content_falls_back_to_the_next_one_that_is_stated(
    sources: list[FileDataset], export: Export, changed: dict[str, Any], moment: tuple[str, str]
) -> None:
    for dataset in sources:
        for keyword, value in changed.items():
            setattr(dataset, keyword, value)
    written = export(sources, IdentityMode.SOURCE)
    assert (written.ContentDate, written.ContentTime) == moment


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Büchner^Zoé"), ("ISO_IR 192", "Yamada^Tarou=山田^太郎")]
)
def test_names_in_any_script_are_kept(
    sources: list[FileDataset], export: Export, charset: str, name: str
) -> None:
    for dataset in sources:
        dataset.SpecificCharacterSet, dataset.PatientName = charset, name
    written = export(sources, IdentityMode.SOURCE)
    assert written.SpecificCharacterSet == "ISO_IR 192"
    assert written.PatientName == name


def test_source_that_says_nothing_about_the_patient(
    phantom: Any, export: Export, pseudonyms: Pseudonyms
) -> None:
    study = generate_uid()
    sources = phantom.datasets(StudyInstanceUID=study, PatientID=" ")
    for dataset in sources:
        del dataset.PatientName
    written = export(sources, IdentityMode.PSEUDONYM)
    # Not one name for everybody without an id.
    assert written.PatientID == pseudonyms.name(study)
    written = export(sources, IdentityMode.SOURCE)
    assert said(written, "PatientName") == ""
    assert (written.ContentDate, written.ContentTime) == ("19000101", "000000")


def test_identity_does_not_show_the_key(pseudonyms: Pseudonyms) -> None:
    shown = repr(Identity(IdentityMode.REMAP, pseudonyms))
    assert pseudonyms.key.hex() not in shown
    assert repr(pseudonyms.key) not in shown
    with pytest.raises(AssertionError):
        Identity(IdentityMode.PSEUDONYM)
