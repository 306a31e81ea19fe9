"""Any folder of scans in, one row a case out: who it is, where its images and its label lie."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from slicewise.config import DataSection
from slicewise.errors import ConfigError, DataError, SlicewiseError, UsageError
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import ScanSource

Images = tuple[ScanSource, *tuple[ScanSource | None, ...]]
"""One source a contrast in the order of ``data.contrasts``; None where the case lacks it. The
first is always there: its grid is that of the case."""


@dataclass(frozen=True)
class Case:
    """One scan of one patient, with as many images as there are contrasts.

    Attributes:
        name: unique in the data set; results bear it.
        patient: whose scan it is; folds are cut between patients.
        images: one source a contrast, in the order of ``data.contrasts``.
        label: label map on the grid of the first image, where there is one.
        site: where it was scanned; empty where ``data.site_pattern`` does not ask.
    """

    name: str
    patient: str
    images: Images
    label: ScanSource | None
    site: str = ""


@dataclass(frozen=True)
class SetAside:
    """A scan that the rest goes on without."""

    name: str
    where: str
    reason: str
    remedy: str

    @classmethod
    def from_error(cls, name: str, error: SlicewiseError) -> SetAside:
        """The row of a quarantine list."""
        return cls(name, error.where, error.reason, error.remedy)


@dataclass(frozen=True)
class Catalogue:
    """What a data set holds.

    Attributes:
        root: the data set.
        cases: by name.
        set_aside: what cannot be a case.
        tells_patients: whether a manifest says who the patients are.
    """

    root: Path
    cases: tuple[Case, ...]
    set_aside: tuple[SetAside, ...] = ()
    tells_patients: bool = False

    def case(self, name: str) -> Case:
        """The case of a name."""
        return next(case for case in self.cases if case.name == name)

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases that have a label."""
        return tuple(case for case in self.cases if case.label is not None)


@dataclass(frozen=True)
class Listing:
    """The files of a data set, before images, labels and patients are joined.

    Attributes:
        root: the data set, for messages.
        images: case name to one source a contrast; None where a contrast is missing.
        labels: case name to label.
        patients: case name to patient as a manifest writes it; None where names must tell.
        set_aside: what cannot be a case.
        loose_labels: what would label something, but nothing that is here.
        file_names: what files call the cases that have a neutral name.
        labels_are_complete: whether an image without a label is a mistake.
    """

    root: Path
    images: dict[str, Images]
    labels: dict[str, ScanSource]
    patients: dict[str, str] | None = None
    set_aside: tuple[SetAside, ...] = ()
    loose_labels: tuple[SetAside, ...] = ()
    file_names: dict[str, str] = field(default_factory=dict)
    labels_are_complete: bool = True


def data_root(data: DataSection) -> Path:
    """The folder of the data set.

    Raises:
        ConfigError: none is given.
        DataError: it does not exist or is empty.
    """
    if data.root is None:
        raise ConfigError(
            "data.root",
            expected="the folder of the data set",
            found="nothing",
            remedy="say --set data.root=FOLDER, or DATA=FOLDER to make",
        )
    if not data.root.exists():
        raise DataError(
            data.root,
            expected="a folder of scans or a CSV manifest",
            found="no such file or folder",
            remedy="correct data.root (make: DATA=)",
        )
    if data.root.is_dir() and not any(data.root.iterdir()):
        raise DataError(
            data.root,
            expected="a folder of scans",
            found="an empty folder",
            remedy="correct data.root (make: DATA=)",
        )
    return data.root


def assemble(data: DataSection, listing: Listing) -> Catalogue:
    """Join images, labels and patients by case name.

    Args:
        data: patient pattern, and whether unpaired files may be left out.
        listing: what there is.

    Raises:
        DataError: labels and images do not pair up and ``allow_unpaired`` is off; all are named.
        UsageError: both the listing and a pattern tell the patients.
    """
    images, labels = listing.images, listing.labels
    unpaired = list(_unpaired(listing))
    if unpaired and not data.allow_unpaired:
        raise DataError(
            listing.root,
            expected="a label for every image and an image for every label",
            found="; ".join(f"{item.name}: {item.reason}" for item in unpaired),
            remedy="add what is missing, or leave these out with data.allow_unpaired=true "
            "(check: --allow-unpaired)",
        )
    needs_label = bool(labels) and listing.labels_are_complete
    names = [name for name in sorted(images) if name in labels or not needs_label]
    if not names:
        raise DataError(
            listing.root, expected="at least one scan", found="none", remedy="correct data.root"
        )
    patients = listing.patients
    if patients is not None and data.patient_pattern is not None:
        raise UsageError(
            f"{listing.root}: patient",
            expected="one source of who the patients are",
            found=f"this column, and data.patient_pattern {data.patient_pattern!r} as well",
            remedy="delete the column, or set data.patient_pattern=null and "
            "data.scans_per_patient=1",
        )
    if patients is None:
        patients = {name: _patient(name, listing, data) for name in names}
    cases = (
        Case(name, patients[name], images[name], labels.get(name), _site(name, listing, data))
        for name in names
    )
    set_aside = (*unpaired, *listing.set_aside)
    return Catalogue(listing.root, tuple(cases), set_aside, listing.patients is not None)


def patient_of(name: str, data: DataSection) -> str:
    """Who a case is, by the pattern of the config; without one, each case is a patient.

    Raises:
        DataError: the pattern does not fit the name.
    """
    if data.patient_pattern is None:
        return name
    match = re.search(data.patient_pattern, name)
    if match is None or not match.group(1):
        raise DataError(
            f"data.patient_pattern, case {name}",
            expected=f"a name in which {data.patient_pattern!r} finds the patient",
            found=repr(name),
            remedy="correct data.patient_pattern, or give patients in a CSV manifest",
        )
    patient = match.group(1)
    if data.scans_per_patient == 1:
        return patient
    if not patient.isdigit():
        raise DataError(
            f"data.scans_per_patient, case {name}",
            expected="a number, because consecutive numbers share a patient",
            found=repr(patient),
            remedy="let the group of data.patient_pattern capture digits only",
        )
    # Leading zeros keep the order of the names equal to the order of the numbers.
    number = (int(patient) + data.scans_per_patient - 1) // data.scans_per_patient
    return f"{number:0{len(patient)}d}"


def merged_patients(patients: dict[str, str], root: Path) -> dict[str, str]:
    """Case name to patient, with variants of case and space taken as one.

    Raises:
        DataError: some patients are blank, or all cases of several claim one patient.
    """
    blank = [name for name, patient in patients.items() if not patient.strip()]
    if blank:
        raise DataError(
            f"{root}: patient",
            expected="a patient for every case",
            found=f"none for {listed(blank)}",
            remedy="fill the column, or delete it and set data.patient_pattern",
        )
    merged = {name: " ".join(patient.split()).casefold() for name, patient in patients.items()}
    if len(merged) > 1 and len(set(merged.values())) == 1:
        raise DataError(
            f"{root}: patient",
            expected="different patients, because folds are cut between them",
            found=f"the same patient for all {len(merged)} cases",
            remedy="correct the column, or delete it and set data.patient_pattern",
        )
    return merged


def require_contrasts(data: DataSection, found: int, where: Path | str) -> None:
    """Refuse a data set whose images a case differ in number from the configured contrasts."""
    if found != len(data.contrasts):
        raise UsageError(
            f"{where}: data.contrasts",
            expected=f"{len(data.contrasts)} images a case ({', '.join(data.contrasts)})",
            found=str(found),
            remedy="give an image of each, or correct data.contrasts, which names them in the "
            "order of the channels",
        )


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names for a message, shortened when there are many."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _patient(name: str, listing: Listing, data: DataSection) -> str:
    """Who a case is: by the pattern, or else by its DICOM header or its file, or itself."""
    if data.patient_pattern is not None:
        return patient_of(listing.file_names.get(name, name), data)
    first = listing.images[name][0]
    if isinstance(first, DicomSeries) and first.patient:
        return first.patient
    if isinstance(first, NiftiVolume):
        # The volumes of one file show one patient.
        return name.removesuffix(first.ending)
    return name


def _site(name: str, listing: Listing, data: DataSection) -> str:
    """Where a case was scanned, by the pattern; empty without one.

    Raises:
        DataError: the pattern does not fit the name.
    """
    if data.site_pattern is None:
        return ""
    written = listing.file_names.get(name, name)
    match = re.search(data.site_pattern, written)
    if match is None or not match.group(1):
        raise DataError(
            f"data.site_pattern, case {name}",
            expected=f"a name in which {data.site_pattern!r} finds the site",
            found=repr(written),
            remedy="correct data.site_pattern, or leave it out",
        )
    return match.group(1)


def _unpaired(listing: Listing) -> Iterable[SetAside]:
    images, labels = listing.images, listing.labels
    if not labels:
        return
    remedy = "add the missing file"
    if listing.labels_are_complete:
        for name in sorted(set(images) - set(labels)):
            yield SetAside(name, str(images[name][0]), "image without label", remedy)
    for name in sorted(set(labels) - set(images)):
        yield SetAside(name, str(labels[name]), "label without image", remedy)
