"""Scans with tokens wherever patients are named, and the search for them in what is shared."""

from __future__ import annotations

import base64
import gzip
import re
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pydicom

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

TEXT_TAGS = (
    "PatientName",
    "PatientID",
    "OtherPatientNames",
    "PatientAddress",
    "PatientComments",
    "PatientMotherBirthName",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "RequestingPhysician",
    "StationName",
    "DeviceSerialNumber",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "ImageComments",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
    "AdmissionID",
    "IssuerOfPatientID",
    "PatientBirthName",
    "PatientTelephoneNumbers",
    "MilitaryRank",
    "CurrentPatientLocation",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
    "PerformedStationName",
)
NIFTI_FIELDS = ("descrip", "aux_file", "intent_name", "db_name")
TOKENS = (
    *(f"ZQ{number:02d}TOKEN" for number in range(len(TEXT_TAGS))),
    *(f"ZN{number}TOKEN" for number in range(len(NIFTI_FIELDS))),
    "ZXTOKEN",  # header extension
    "ZVTOKEN",  # private tag
    "ZPTOKEN",  # path of DICOM input
    "19310407",  # birth date
    "20191103",  # date of the study
    "ZUTOKEN",  # name of the user, in the path of the data set
    "ZMTOKEN",  # patient in a manifest
    "ZJTOKEN",  # sidecar of a NIfTI file
)
OF_MANIFESTS = ("ZMTOKEN", "ZJTOKEN")
# Volumes and pictures inside of a page.
_PACKED = re.compile(rb"[A-Za-z0-9+/]{400,}={0,2}")


def write_study(root: Path, number: int, *, is_damaged: bool = False) -> None:
    """One patient with a series and, in the identity of the source, its DICOM SEG."""
    folder = root / f"ZPTOKEN^{number}" / "ZPTOKEN scan"
    random = np.random.default_rng(number)
    label = np.zeros((20, 18, 6), dtype=np.uint8)
    label[5:12, 4:10, 1:5] = 5
    voxels = (random.integers(0, 50, label.shape) + 200 * (label > 0)).astype(np.uint16)
    scan = Volume(voxels, np.diag([-1.0, -1.2, 3.0, 1.0]), f"ZPTOKEN{number}")
    write_dicom_series(scan, folder, f"private {number}")
    for path in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(path)
        for place, keyword in enumerate(TEXT_TAGS):
            setattr(dataset, keyword, TOKENS[place] + str(number))
        dataset.PatientBirthDate = "19310407"
        dataset.StudyDate = "20191103"
        dataset.add_new(0x00110010, "LO", "ZVTOKEN")
        dataset.add_new(0x00111001, "LO", "ZVTOKEN")
        dataset.save_as(path)
        path.rename(path.with_name(f"ZPTOKEN{path.name}"))
    if is_damaged:
        sorted(folder.iterdir())[3].unlink()
        return
    series = DicomScanner().find(folder).series[0]
    mask = Volume(label, series.affine)
    write_segmentation(
        mask,
        series,
        [Structure("lesion", 5, "#E69F00")],
        Algorithm("drawn by hand", "1"),
        folder.parent / "ZPTOKEN seg.dcm",
        Identity(IdentityMode.SOURCE),
    )


def write_nifti(path: Path, seed: int = 9) -> None:
    image = nib.Nifti1Image(np.random.default_rng(seed).normal(100, 9, (20, 18, 6)), np.eye(4))
    for place, name in enumerate(NIFTI_FIELDS):
        image.header[name] = TOKENS[len(TEXT_TAGS) + place].encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"ZXTOKEN"))
    nib.save(image, path)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, unpacked where it is packed, with its name."""
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        name = str(path.relative_to(folder))
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        yield name, name.encode() + content
        if path.suffix == ".html":
            for number, packed in enumerate(_PACKED.findall(content)):
                inner = base64.b64decode(packed)
                yield f"{name}/{number}", _unpacked(inner)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{name}/{member}", archive.read(member)
        if path.suffix == ".tar":
            with TemporaryDirectory() as inside, tarfile.open(path) as package:
                package.extractall(inside, filter="data")
                yield from ((f"{name}/{inner}", item) for inner, item in contents(Path(inside)))


def _unpacked(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def leaks(content: bytes) -> list[str]:
    spellings = {
        token: (token.encode(), token.lower().encode(), token.encode("utf-16-le"))
        for token in TOKENS
    }
    return [token for token, many in spellings.items() if any(one in content for one in many)]
