"""A folder without a known arrangement in, a ``Listing`` out: each scan, or each study, a case.

Label maps lie beside their images, and their names tell whose they are.
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
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import FoundScans, ScanSource, find_scans, source_name

_WORD = re.compile(r"[^\W_]+")
_LabelsOf = dict[str, dict[str, ScanSource]]
"""Name of a case to its label maps by name; of a sound case there is one at most."""


@dataclass
class _Study:
    """The scans that belong together.

    Attributes:
        name: of the case; the name of a DICOM study is that of the series of its first contrast.
        scans: contrast to scans, each with its name; of a sound study one each.
        labels: label maps by name, of NIfTI files and pictures; of a sound study one at most.
        others: what the scans of no wanted contrast show, as far as it is told.
    """

    name: str
    scans: dict[str, dict[str, ScanSource]] = field(default_factory=dict)
    labels: dict[str, ScanSource] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def found(self) -> str:
        """What there is, for messages."""
        several = {name: f"{len(scans)} of {name}" for name, scans in self.scans.items()}
        texts = [name if len(self.scans[name]) == 1 else several[name] for name in self.scans]
        return ", ".join([*texts, *(other for other in self.others if other)]) or "other scans"


def scans_as_cases(root: Path, data: DataSection, scanner: DicomScanner) -> Listing:
    """Every scan below a folder is a case, but for the label maps that lie beside their image.

    A label map is a file whose name ends like one (``LABEL_WORDS``) and else is that of an image,
    such as ``a_seg.nii.gz`` beside ``a.nii.gz``, or the beginning of the name of one image in its
    folder; of several it belongs to the one that is called after the contrast. Files of other
    such names are scans. A DICOM SEG is the label of the series that it refers to.

    Raises:
        ScanError, DataError: there is none that is usable.
    """
    found = find_scans(root, scanner)
    set_aside = _unusable(found)
    if not found.sources:
        raise DataError(
            root,
            expected="at least one usable scan",
            found="; ".join(item.reason for item in set_aside[:3]),
            remedy="see the reasons",
        )
    files = {
        name: source
        for name, source in found.sources.items()
        if not isinstance(source, DicomSeries)
    }
    labels_of = _labels_beside(files, data.contrasts[0])
    is_label = {name for labels in labels_of.values() for name in labels}
    images: dict[str, Images] = {
        name: (source,) for name, source in found.sources.items() if name not in is_label
    }
    labels_of |= {name: {name: label} for name, label in found.labels.items()}
    return _listing(root, found, images, labels_of, set_aside)


def _labels_beside(files: Mapping[str, ScanSource], contrast: str) -> _LabelsOf:
    """The label maps of each image; the volumes of a file have their labels in one of as many."""
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
    """The name of the file, where several volumes of one have names of their own."""
    return name.removesuffix(source.ending) if isinstance(source, NiftiVolume) else name


def studies_as_cases(root: Path, data: DataSection, scanner: DicomScanner) -> Listing:
    """Every study below a folder is a case with several contrasts.

    DICOM series belong together by patient and study; the word that ``slicewise check`` shows in
    the name of a series, such as ``t1post`` or ``flair``, tells its contrast. Of other files the
    end of the name tells it: ``patient1/FLAIR.nii.gz`` or ``patient1_FLAIR.nii.gz``. Scans of
    other contrasts are not looked at; a study without a contrast that it must have, or with two
    scans of one, is set aside. The label of a study is the DICOM SEG of its first contrast, or the
    file whose name ends like that of a label map: ``patient1/seg.nii.gz``.

    Raises:
        ScanError, DataError: there is no usable study.
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
            f"one scan of {' and '.join(several)} a study",
            "remove the others, or choose with a CSV manifest",
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
            contrast, said = by_word.get(_plain(source.contrast)), source.contrast
        else:
            case, said = _split(PurePosixPath(name), by_word)
            contrast = by_word.get(said)
            if contrast is None:
                others[name] = source
                continue
            study = studies.setdefault(("", case), _Study(case or source_name(root)))
        if contrast is None:
            study.others.append(said)
        else:
            study.scans.setdefault(contrast, {})[name] = source
    # Those of DICOM have no name of their own.
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
    """A name without what people write differently: T1-post and t1post are one."""
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
            "a label of no series here, of several, or one of many",
            "leave one DICOM SEG a series, and one volume; or pair folders in a CSV manifest",
        )
        for number, path in enumerate(found.loose_labels, start=1)
    ]
    labels: dict[str, ScanSource] = {}
    for image, sources in labels_of.items():
        if len(sources) == 1:
            labels[image] = next(iter(sources.values()))
            continue
        reason = f"one of {len(sources)} label maps of {image}"
        remedy = "leave one, or choose with a CSV manifest"
        loose_labels += [SetAside(name, str(at), reason, remedy) for name, at in sources.items()]
    return Listing(
        root,
        images,
        labels,
        set_aside=tuple(set_aside),
        loose_labels=tuple(loose_labels),
        labels_are_complete=False,
    )
