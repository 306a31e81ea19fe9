"""Tokens planted where patients are named: none of them reaches anything meant to be shared."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.seg.identity import Identity, IdentityMode
from slicewise.imaging.dicom.seg.segments import Algorithm
from slicewise.imaging.dicom.seg.writing import write_segmentation
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume

Slicewise = Callable[..., Any]

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
CONFIG = """
name: private
data: {layout: dicom, labels: {lesion: 5}, fold_count: 2}
preprocessing: {plane: axial, foreground: all}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4, validations: 1, batch_size: 4}
"""


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


@pytest.mark.slow
@pytest.mark.fault(95, "OK")
def test_no_planted_token_is_shared(slicewise: Slicewise, tmp_path: Path) -> None:
    studies = tmp_path / "ZUTOKEN" / "ZPTOKEN studies"
    work, shared = tmp_path / "work", tmp_path / "shared"
    for number in range(4):
        write_study(studies, number)
    write_study(studies, 4, is_damaged=True)
    scan, config = tmp_path / "scan.nii.gz", tmp_path / "private.yaml"
    write_nifti(scan)
    # As `slicewise plan` writes it: the file names the folder, and nothing that is shared does.
    config.write_text(CONFIG.replace("{layout", f"{{root: {str(studies)!r}, layout"))
    # The tokens are where they should be found, if anywhere.
    planted = b"".join(content for _, content in [*contents(studies)]) + gzip.decompress(
        scan.read_bytes()
    )
    assert leaks(planted + str(studies).encode()) == [
        token for token in TOKENS if token not in OF_MANIFESTS
    ]

    model = shared / "model"
    place = ("--work", work)
    calls: list[tuple[object, ...]] = [
        ("train", config, "--out", model, *place),
        ("check", studies, "--html", shared / "page.html", "--json", shared / "check.json",
         "--config", config, *place),
        ("convert", studies, "--out", shared / "converted", "--json", shared / "c.json", *place),
        ("predict", model, studies, "--out", shared / "masks", *place),
        ("predict", model, studies, "--out", shared / "seg", "--format", "dicom-seg", *place),
        ("predict", model, studies, "--out", shared / "nrrd", "--format", "seg-nrrd", *place),
        ("predict", model, scan, "--out", shared / "scan.nii.gz", "--probabilities",
         "--uncertainty", *place),
        ("convert", scan, "--out", shared / "converted-nifti", *place),
        ("baseline", config, "--out", shared / "base", *place),
        ("report", model, "--baseline", shared / "base", "--out", shared / "report", *place),
        ("report", shared / "masks", "--data", studies, "--out", shared / "report-masks", *place),
        ("compare", shared / "base", model, "--out", shared / "compare", *place),
        ("evaluate", shared / "masks", shared / "masks", "--out", shared / "scores.csv"),
        ("view", studies / "ZPTOKEN^1", "--out", shared / "view.html", *place),
        ("view", scan, shared / "scan.nii.gz", "--out", shared / "view-nifti.html", *place),
    ]  # fmt: skip
    for call in calls:
        done = slicewise(*call)
        assert done.returncode in (0, 8), done.stderr
        assert leaks((done.stdout + done.stderr).encode()) == [], call
    found = {name: leaks(content) for name, content in contents(shared)}
    assert len(list((shared / "seg").glob("*.dcm"))) == 4
    assert len(list((shared / "masks").glob("*.nii.gz"))) == 4
    assert {"report/report.pdf", "report-masks/report.html", "view.html"} <= set(found)
    assert any(name.startswith("view.html/") for name in found)
    assert {name: tokens for name, tokens in found.items() if tokens} == {}
    tracked = {name: leaks(content) for name, content in contents(work / "mlflow")}
    assert tracked
    assert {name: tokens for name, tokens in tracked.items() if tokens} == {}


def write_manifest(root: Path) -> Path:
    """Four patients as NIfTI with sidecars, and the table that names them."""
    root.mkdir(parents=True)
    lines = ["image,label,patient"]
    for number in range(4):
        image = root / f"scan{number}.nii.gz"
        write_nifti(image, number)
        labels = np.zeros((20, 18, 6), dtype=np.uint8)
        labels[5:12, 4:10, 1:5] = 5
        nib.save(nib.Nifti1Image(labels, np.eye(4)), root / f"label{number}.nii.gz")
        facts = {"PatientName": f"ZJTOKEN{number}", "SeriesDescription": f"T1 ZJTOKEN{number}"}
        image.with_name(f"scan{number}.json").write_text(json.dumps(facts))
        lines.append(f"scan{number}.nii.gz,label{number}.nii.gz,ZMTOKEN {number}")
    manifest = root / "dataset.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


@pytest.mark.slow
@pytest.mark.fault(95, "OK")
def test_no_planted_token_of_a_manifest_is_shared(slicewise: Slicewise, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "ZUTOKEN" / "ZPTOKEN scans")
    work, shared, config = tmp_path / "work", tmp_path / "shared", tmp_path / "private.yaml"
    shared.mkdir()
    config.write_text(CONFIG.replace("{layout: dicom", f"{{root: {str(manifest)!r}"))
    model, place = shared / "model", ("--work", work)
    calls: list[tuple[object, ...]] = [
        ("train", config, "--out", model, *place),
        ("check", manifest, "--html", shared / "page.html", "--json", shared / "check.json",
         "--config", config, *place),
        ("predict", model, manifest.parent / "scan0.nii.gz", "--out", shared / "masks", *place),
        ("report", model, "--out", shared / "report", *place),
        ("report", shared / "masks", "--data", manifest, "--out", shared / "other", *place),
        ("convert", manifest.parent / "scan1.nii.gz", "--out", shared / "converted", *place),
        ("runs", "export", "--all", "--out", shared / "runs.tar", *place),
    ]  # fmt: skip
    for call in calls:
        done = slicewise(*call)
        assert done.returncode in (0, 8), done.stderr
        assert leaks((done.stdout + done.stderr).encode()) == [], call
    found = {name: leaks(content) for name, content in contents(shared)}
    assert any(name.startswith("runs.tar/") and name.endswith(".pt") for name in found)
    assert {name: tokens for name, tokens in found.items() if tokens} == {}
    tracked = {name: leaks(content) for name, content in contents(work / "mlflow")}
    assert {name: tokens for name, tokens in tracked.items() if tokens} == {}


@pytest.mark.slow
def test_who_may_read_what_names_patients(slicewise: Slicewise, tmp_path: Path) -> None:
    studies, work = tmp_path / "studies", tmp_path / "work"
    write_study(studies, 1)
    write_study(studies, 2, is_damaged=True)
    done = slicewise("convert", studies, "--out", tmp_path / "out", "--work", work)
    assert done.returncode == 8, done.stderr
    private = [path for path in work.rglob("*") if path.is_file()]
    assert any(leaks(path.read_bytes()) for path in private)
    for path in private:
        assert path.stat().st_mode & 0o077 == 0, path
    quarantine = next(work.rglob("quarantine.jsonl"))
    entry = json.loads(quarantine.read_text().splitlines()[0])
    assert {"where", "reason", "remedy"} <= set(entry)
