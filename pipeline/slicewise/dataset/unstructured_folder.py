"""Reads unstructured folders, in which each scan, or each study, is a case.

Label maps are next to their images, and matched by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Images, Listing, SetAside, listed
from slicewise.dataset.contrasts import Lacking, in_order
from slicewise.dataset.label_names import images_of, is_label_name
from slicewise.errors import DataError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.finding import FoundScans, find_scans
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import ScanSource, source_name

_WORD = re.compile(r"[^\W_]+")
_LabelsOf = dict[str, dict[str, ScanSource]]
"""Label maps by case and name; a valid case has at most one."""


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


def scans_as_cases(root: Path, data: DataSection, scanner: DicomScanner) -> Listing:
    """List all scans below a folder as cases, with the label maps next to them.

    The name of a label map has an ending (``LABEL_WORDS``) after the name of its image, such as
    ``a_seg.nii.gz`` next to ``a.nii.gz``, or after the prefix of one image in its folder; of
    several images, the one with the name of the contrast is used. A DICOM SEG is the label of the
    series that it refers to.

    Raises:
        ScanError, DataError: no usable scan.
    """
    found = find_scans(root, scanner)
    set_aside = _unusable(found)
    if not found.sources:
        raise DataError(
            root,
            expected="at least one usable scan",
            found="; ".join(item.reason for item in set_aside[:3]),
            remedy="correct the scans",
        )
    files = {
        name: source
        for name, source in found.sources.items()
        if not isinstance(source, DicomSeries)
    }
    labels_of = _labels_next_to(files, data.contrasts[0])
    is_label = {name for labels in labels_of.values() for name in labels}
    images: dict[str, Images] = {
        name: (source,) for name, source in found.sources.items() if name not in is_label
    }
    labels_of |= {name: {name: label} for name, label in found.labels.items()}
    return _listing(root, found, images, labels_of, set_aside)


def _labels_next_to(files: Mapping[str, ScanSource], contrast: str) -> _LabelsOf:
    """Label maps by image; a file with several volumes has a label file with as many."""
    file_of = {name: _without_volume(name, source) for name, source in files.items()}
    labels = {name for name, file in file_of.items() if is_label_name(file)}
    image_of = images_of(
        {file_of[name] for name in labels},
        {file_of[name] for name in files.keys() - labels},
        lambda file: bool(_split(PurePosixPath(file), {_plain(contrast): contrast})[1]),
    )
    labels_of: _LabelsOf = {}
    for name in sorted(labels):
        file = file_of[name]
        image = image_of.get(file, "") + name.removeprefix(file)
        if image in files:
            labels_of.setdefault(image, {})[name] = files[name]
    return labels_of


def _without_volume(name: str, source: ScanSource) -> str:
    """Name of the file of one of several volumes."""
    return name.removesuffix(source.ending) if isinstance(source, NiftiVolume) else name


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
    found = find_scans(root, scanner)
    set_aside = _unusable(found)
    images: dict[str, Images] = {}
    labels_of: _LabelsOf = {}
    for number, study in enumerate(_studies(root, found, data.contrasts), start=1):
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
    return _listing(root, found, images, labels_of, set_aside)


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


def _studies(root: Path, found: FoundScans, contrasts: Sequence[str]) -> Iterable[_Study]:
    """The scans of a folder, by study."""
    studies: dict[tuple[str, str], _Study] = {}
    others: dict[str, ScanSource] = {}
    by_word = {_plain(name): name for name in contrasts}
    for name, source in found.sources.items():
        if isinstance(source, DicomSeries):
            study = studies.setdefault((source.patient, source.study_uid), _Study(""))
            contrast, word = by_word.get(_plain(source.contrast)), source.contrast
        else:
            case, word = _split(PurePosixPath(name), by_word)
            contrast = by_word.get(word)
            if contrast is None:
                others[name] = source
                continue
            study = studies.setdefault(("", case), _Study(case or source_name(root)))
        if contrast is None:
            study.others.append(word)
        else:
            study.scans.setdefault(contrast, {})[name] = source
    # DICOM studies have no name.
    named = {study.name: study for study in studies.values() if study.name}
    labels = filter(is_label_name, others)
    for label, name in images_of(labels, named, lambda _: False).items():
        named[name].labels[label] = others[label]
    return studies.values()


def _split(name: PurePosixPath, by_word: Mapping[str, str]) -> tuple[str, str]:
    """Case and contrast of a file: ``a/b_FLAIR`` is of ``a/b``, ``a/FLAIR`` of ``a``."""
    words = list(_WORD.finditer(name.name))
    for number, word in enumerate(words):
        contrast = _plain("".join(one.group() for one in words[number:]))
        if contrast in by_word:
            case = name.parent / name.name[: word.start()].rstrip("_-. ")
            return str(case).removeprefix("."), contrast
    return str(name), ""


def _plain(name: str) -> str:
    """A name without case and separators: T1-post and t1post are equal."""
    return "".join(_WORD.findall(name.casefold()))


def _unusable(found: FoundScans) -> list[SetAside]:
    return [
        SetAside.from_error(f"dicom-{number}", error)
        for number, error in enumerate(found.set_aside, start=1)
    ]


def _listing(
    root: Path,
    found: FoundScans,
    images: dict[str, Images],
    labels_of: _LabelsOf,
    set_aside: Sequence[SetAside],
) -> Listing:
    loose_labels = [
        SetAside(
            f"dicom-label-{number}",
            str(path),
            "a label without a series, of several, or one of several of a series",
            "keep one DICOM SEG per series, or match images and labels in a CSV manifest",
        )
        for number, path in enumerate(found.loose_labels, start=1)
    ]
    labels: dict[str, ScanSource] = {}
    for image, sources in labels_of.items():
        if len(sources) == 1:
            labels[image] = next(iter(sources.values()))
            continue
        reason = f"one of {len(sources)} label maps of {image}"
        remedy = "keep one, or choose one in a CSV manifest"
        loose_labels += [SetAside(name, str(at), reason, remedy) for name, at in sources.items()]
    return Listing(
        root,
        images,
        labels,
        set_aside=tuple(set_aside),
        loose_labels=tuple(loose_labels),
        labels_are_complete=False,
    )
