"""Reads folders of studies, in which each study is a case with several contrasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Images, Listing, SetAside
from slicewise.dataset.contrasts import Lacking, in_order
from slicewise.dataset.folder_scans import (
    LabelsOf,
    contrast_in_name,
    listing_of,
    plain_word,
    raw_scans,
    unusable,
)
from slicewise.dataset.label_names import images_of, is_label_path
from slicewise.errors import DataError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.scan import ScanSource, source_name
from slicewise.imaging.scan_search import FoundScans
from slicewise.quantities import listed


@dataclass
class _Study:
    """The scans of a study.

    Attributes:
        name: of the case; for a DICOM study, that of the series of its first contrast.
        scans: scans by contrast and name; a valid study has one per contrast.
        labels: label maps by name, of NIfTI files and pictures; a valid study has at most one.
        others: contrasts of the other scans, if known.
    """

    name: str
    scans: dict[str, dict[str, ScanSource]] = field(default_factory=dict)
    labels: dict[str, ScanSource] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def found(self) -> str:
        """Contrasts of the study, for messages."""
        several = {name: f"{len(scans)} of {name}" for name, scans in self.scans.items()}
        texts = [name if len(self.scans[name]) == 1 else several[name] for name in self.scans]
        return ", ".join([*texts, *(other for other in self.others if other)]) or "other scans"


def studies_as_cases(root: Path, data: DataSection, scanner: DicomScanner) -> Listing:
    """List all studies below a folder as cases with several contrasts.

    DICOM series are grouped by patient and study; the word in the name of a series, such as
    ``t1post`` or ``flair``, is its contrast. Other files have the contrast at the end of their
    name: ``patient1/FLAIR.nii.gz`` or ``patient1_FLAIR.nii.gz``. Scans of other contrasts are
    ignored; a study that lacks a required contrast, or has two scans of one, is excluded. The label
    of a study is the DICOM SEG of its first contrast, or the file with the ending of a label map:
    ``patient1/seg.nii.gz``.

    Raises:
        ScanError, DataError: no usable study.
    """
    found, notes = raw_scans(root, scanner)
    set_aside = unusable(found)
    images: dict[str, Images] = {}
    labels_of: LabelsOf = {}
    studies, loose = _studies(root, found, data.contrasts)
    for number, study in enumerate(studies, start=1):
        ordered = _only_scans(study, data)
        if isinstance(ordered, Lacking):
            name = study.name or f"dicom-study-{number}"
            reason = f"expected {ordered.expected}, found {study.found}"
            set_aside.append(SetAside(name, str(root), reason, ordered.remedy))
            continue
        first = next(iter(study.scans[data.contrasts[0]]))
        images[study.name or first] = ordered
        of_series = {first: found.labels[first]} if first in found.labels else {}
        labels_of[study.name or first] = study.labels | of_series
    if not images:
        raise DataError(
            f"{root}: data.contrasts",
            expected=f"scans that show {', '.join(data.contrasts)}",
            found="; ".join(item.reason for item in set_aside[:3]) or listed(found.sources, 6),
            remedy="call files after their contrasts, such as patient1/FLAIR.nii.gz, or by a "
            "channel number, such as patient1_0000.nii.gz, or write a CSV manifest",
        )
    return listing_of(root, found, images, labels_of, set_aside, loose, notes)


def _only_scans(study: _Study, data: DataSection) -> Images | Lacking:
    """The one scan of each contrast; several of one are as good as none."""
    only = {
        name: next(iter(scans.values())) for name, scans in study.scans.items() if len(scans) == 1
    }
    several = [name for name, scans in study.scans.items() if len(scans) > 1]
    if several:
        return Lacking(
            tuple(several),
            f"one scan of {' and '.join(several)} per study",
            "remove the others, or choose one in a CSV manifest",
        )
    return in_order(only, data)


def _studies(
    root: Path, found: FoundScans, contrasts: Sequence[str]
) -> tuple[list[_Study], dict[str, ScanSource]]:
    """The scans of a folder by study, and label maps of none."""
    studies: dict[tuple[str, str], _Study] = {}
    # Names of studies, and of the files in them, which have no name if they are DICOM.
    study_of: dict[str, _Study] = {}
    labels: dict[str, ScanSource] = {}
    by_word = {plain_word(name): name for name in contrasts}
    for name, source in found.sources.items():
        if isinstance(source, DicomSeries):
            study = studies.setdefault((source.patient, source.study_uid), _Study(""))
            contrast, word = by_word.get(plain_word(source.contrast)), source.contrast
        elif is_label_path(name):
            labels[name] = source
            continue
        else:
            case, word = contrast_in_name(PurePosixPath(name), by_word)
            contrast = by_word.get(word)
            if contrast is None:
                continue
            study = studies.setdefault(("", case), _Study(case or source_name(root)))
            study_of |= {study.name: study, name: study}
        if contrast is None:
            study.others.append(word)
        else:
            study.scans.setdefault(contrast, {})[name] = source
    first = plain_word(contrasts[0])
    image_of = images_of(
        labels, study_of, lambda name: contrast_in_name(PurePosixPath(name), by_word)[1] == first
    )
    for label, image in image_of.items():
        study_of[image].labels[label] = labels[label]
    loose = {label: source for label, source in labels.items() if label not in image_of}
    return list(studies.values()), loose
