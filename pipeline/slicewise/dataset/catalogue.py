"""Catalogue of a data set: its cases with patient, images and label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from slicewise.config import DataSection
from slicewise.dataset.patient_ids import (
    PatientVariants,
    captured,
    patient_of,
    plain_id,
    variants_of,
)
from slicewise.errors import ConfigError, DataError, ScanError, SlicewiseError, UsageError
from slicewise.file_names import nearest_path
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import ScanSource, path_of
from slicewise.imaging.walk import entries, unusable_name
from slicewise.quantities import listed

Images = tuple[ScanSource, *tuple[ScanSource | None, ...]]
"""One source per contrast in the order of ``data.contrasts``; None if missing. The first, whose
grid is that of the case, is never None."""


@dataclass(frozen=True, slots=True)
class Case:
    """One scan of a patient, with an image per contrast.

    Attributes:
        name: unique in the data set.
        patient: of the scan; patients are not split between folds.
        images: one source per contrast, in the order of ``data.contrasts``.
        label: label map on the grid of the first image; None without a label.
        site: of the scan; empty without ``data.site_pattern``.
    """

    name: str
    patient: str
    images: Images
    label: ScanSource | None
    site: str = ""


@dataclass(frozen=True)
class SetAside:
    """A scan that is excluded, with the reason."""

    name: str
    where: str
    reason: str
    remedy: str

    @classmethod
    def from_error(cls, name: str, error: SlicewiseError) -> SetAside:
        """Row of a quarantine list for an error."""
        return cls(name, error.where, error.reason, error.remedy)


@dataclass(frozen=True)
class Catalogue:
    """The cases of a data set.

    Attributes:
        root: of the data set.
        cases: in the order of their names.
        set_aside: scans that are not usable.
        lists_patients: whether a manifest lists the patients.
        notes: sentences about the search for scans.
        patient_variants: ids of patients that were merged.
    """

    root: Path
    cases: tuple[Case, ...]
    set_aside: tuple[SetAside, ...] = ()
    lists_patients: bool = False
    notes: tuple[str, ...] = ()
    patient_variants: tuple[PatientVariants, ...] = ()

    def case(self, name: str) -> Case:
        """The case with a name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Case]:
        return {case.name: case for case in self.cases}

    @property
    def files(self) -> list[Path]:
        """Files and folders of all images and labels, and the root."""
        sources = (
            source
            for case in self.cases
            for source in (*case.images, case.label)
            if source is not None
        )
        return [self.root, *map(path_of, sources)]

    @property
    def labelled(self) -> tuple[Case, ...]:
        """The cases with a label."""
        return tuple(case for case in self.cases if case.label is not None)


@dataclass(frozen=True)
class Listing:
    """The files of a data set, before images, labels and patients are matched.

    Attributes:
        root: of the data set, for messages.
        images: case name to one source per contrast; None if a contrast is missing.
        labels: case name to label.
        patients: case name to patient in the manifest; None if they follow from the names.
        set_aside: scans that are not usable.
        loose_labels: labels without an image.
        file_names: original names of the cases with neutral names.
        labels_are_complete: whether an image without a label is an error.
        label_place: folder or file that has labels; None if labels may be absent.
        notes: sentences about the search.
    """

    root: Path
    images: dict[str, Images]
    labels: dict[str, ScanSource]
    patients: dict[str, str] | None = None
    set_aside: tuple[SetAside, ...] = ()
    loose_labels: tuple[SetAside, ...] = ()
    file_names: dict[str, str] = field(default_factory=dict)
    labels_are_complete: bool = True
    label_place: Path | None = None
    notes: tuple[str, ...] = ()


def data_root(data: DataSection) -> Path:
    """The folder of the data set.

    Raises:
        ConfigError: ``data.root`` is not set.
        DataError: it does not exist or is empty.
    """
    if data.root is None:
        raise ConfigError(
            "data.root",
            expected="the folder of the data set",
            found="no folder",
            remedy="set data.root in the configuration or with `settings` (make: DATA=FOLDER)",
        )
    if error := unusable_name(data.root):
        raise error
    if not data.root.exists():
        raise DataError(
            data.root,
            expected="a folder of scans or a CSV manifest",
            found="no such file or folder",
            remedy=nearest_path(data.root) or "correct the path, or data.root",
        )
    if data.root.is_dir():
        _require_content(data.root)
    elif not data.root.is_file():
        raise DataError(
            data.root,
            expected="a folder of scans or a CSV manifest",
            found="neither a file nor a folder, but a pipe or a device",
            remedy="correct the path, or data.root",
        )
    return data.root


def _require_content(root: Path) -> None:
    content = next(entries(root), None)
    if isinstance(content, ScanError) and content.where == str(root):
        raise content
    if content is None:
        raise DataError(
            root,
            expected="a folder of scans",
            found="an empty folder",
            remedy="correct data.root",
        )


def assemble(data: DataSection, listing: Listing) -> Catalogue:
    """Match images, labels and patients by case name.

    Args:
        data: patient pattern, and whether unpaired files are excluded.
        listing: of the files.

    Raises:
        DataError: images or labels are unpaired, unless ``data.allow_unpaired`` is true.
        UsageError: patients are given by both a manifest and a pattern.
    """
    images, labels = listing.images, listing.labels
    _require_labels(listing)
    unpaired = list(_unpaired(listing))
    if unpaired and not data.allow_unpaired:
        reasons = [f"{item.name}: {item.reason}" for item in (*unpaired, *listing.set_aside)]
        raise DataError(
            listing.root,
            expected="a label for every image and an image for every label",
            found="; ".join((listed(reasons, separator="; "), *listing.notes)),
            remedy="add the missing files, or exclude the others with data.allow_unpaired: true",
        )
    needs_label = bool(labels) and listing.labels_are_complete
    names = [name for name in sorted(images) if name in labels or not needs_label]
    if not names:
        raise DataError(
            listing.root,
            expected="at least one scan",
            found="no scan",
            remedy="add lines to the table" if listing.root.is_file() else "correct data.root",
        )
    if listing.patients is not None and data.patient_pattern is not None:
        raise UsageError(
            f"{listing.root}: patient",
            expected="patients from either this column or data.patient_pattern",
            found=f"both; the pattern is {data.patient_pattern!r}",
            remedy="delete the column, or set data.patient_pattern to null and "
            "data.scans_per_patient to 1",
        )
    written = listing.patients or {name: _patient(name, listing, data) for name in names}
    patients = written
    if listing.patients is not None:
        patients = merged_patients(written, listing.root)
    elif data.patient_pattern is not None:
        patients = {name: plain_id(patient) for name, patient in written.items()}
    cases = (
        Case(name, patients[name], images[name], labels.get(name), _site(name, listing, data))
        for name in names
    )
    set_aside = (*unpaired, *listing.set_aside)
    return Catalogue(
        listing.root,
        tuple(cases),
        set_aside,
        lists_patients=listing.patients is not None,
        notes=listing.notes,
        patient_variants=tuple(variants_of(names, written, patients, listing.file_names)),
    )


def merged_patients(patients: dict[str, str], root: Path) -> dict[str, str]:
    """Case name to patient, ignoring case and repeated spaces.

    Raises:
        DataError: some patients are blank, or all cases have the same patient.
    """
    blank = [name for name, patient in patients.items() if not patient.strip()]
    if blank:
        raise DataError(
            f"{root}: patient",
            expected="a patient for every case",
            found=f"none for {listed(blank)}",
            remedy="fill the column, or delete it and set data.patient_pattern",
        )
    merged = {name: plain_id(patient) for name, patient in patients.items()}
    if len(merged) > 1 and len(set(merged.values())) == 1:
        raise DataError(
            f"{root}: patient",
            expected="several patients, because folds are grouped by patient",
            found=f"the same patient for all {len(merged)} cases",
            remedy="correct the column, or delete it and set data.patient_pattern",
        )
    return merged


def _patient(name: str, listing: Listing, data: DataSection) -> str:
    """The patient of a case: by the pattern, else by DICOM header or file, else the case itself."""
    if data.patient_pattern is not None:
        return patient_of(listing.file_names.get(name, name), data)
    first = listing.images[name][0]
    if isinstance(first, DicomSeries) and first.patient:
        return first.patient
    if isinstance(first, NiftiVolume):
        # The volumes of a file are of the same patient.
        return name.removesuffix(first.ending)
    return name


def _site(name: str, listing: Listing, data: DataSection) -> str:
    """The site of a case by ``data.site_pattern``; empty without it.

    Raises:
        DataError: the pattern does not match the name.
    """
    if data.site_pattern is None:
        return ""
    written = listing.file_names.get(name, name)
    remedy = "correct data.site_pattern, or set it to null"
    return captured(data.site_pattern, written, f"data.site_pattern, case {name}", remedy)


def _require_labels(listing: Listing) -> None:
    """Refuse a place of labels in which nothing could be read, which is not an unlabelled set."""
    if listing.label_place is None or listing.labels:
        return
    reasons = [f"{item.name}: {item.reason}" for item in listing.set_aside]
    raise DataError(
        listing.label_place,
        expected="label maps as NIfTI, NRRD, DICOM SEG or pictures",
        found="; ".join(filter(None, (listed(reasons, separator="; "), *listing.notes)))
        or "an empty folder",
        remedy="export the label maps as NIfTI or .seg.nrrd; if there are none, give the folder of "
        "images as the data set",
    )


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
