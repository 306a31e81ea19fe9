"""Reads unstructured folders, in which each scan is a case.

Label maps are next to their images, in folders of labels, or in the derivatives of BIDS, and
matched by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NoReturn

from slicewise.config import DataSection
from slicewise.dataset.catalogue import Images, Listing, SetAside
from slicewise.dataset.folder_scans import (
    LABEL_REMEDY,
    LabelsOf,
    contrast_in_name,
    listing_of,
    plain_word,
    raw_scans,
    unusable,
)
from slicewise.dataset.label_names import images_of, is_label_path, without_label_word
from slicewise.errors import DataError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import NiftiVolume
from slicewise.imaging.scan import ScanSource
from slicewise.imaging.scan_search import FoundScans
from slicewise.quantities import counted, listed


def scans_as_cases(root: Path, data: DataSection, scanner: DicomScanner) -> Listing:
    """List all scans below a folder as cases, with their label maps.

    A label map is known by its ending (``LABEL_WORDS``) or its folder, such as ``labels``; it is
    never a scan. It has the name of its image, as ``a_seg.nii.gz`` next to ``a.nii.gz``, or the
    prefix of one image in its folder; of several images, the one with the name of the contrast is
    used. A DICOM SEG is the label of the series that it refers to.

    Raises:
        ScanError, DataError: no usable scan.
    """
    found, notes = raw_scans(root, scanner)
    set_aside = unusable(found)
    files = {
        name: source
        for name, source in found.sources.items()
        if not isinstance(source, DicomSeries)
    }
    labels = {name for name in files if is_label_path(_without_volume(name, files[name]))}
    labels_of = _labels_of_files(files, labels, data.contrasts[0])
    matched = {name for of_image in labels_of.values() for name in of_image}
    only_series = _only_series(root, found)
    for name in sorted(labels - matched):
        if series := _series_around(root, name, only_series):
            labels_of.setdefault(series, {})[name] = files[name]
            matched.add(name)
    images: dict[str, Images] = {
        name: (source,) for name, source in found.sources.items() if name not in labels
    }
    labels_of |= {name: {name: label} for name, label in found.labels.items()}
    loose = {name: files[name] for name in sorted(labels - matched)}
    if not images:
        _raise_no_scans(root, set_aside, loose)
    return listing_of(root, found, images, labels_of, set_aside, loose, notes)


def _raise_no_scans(
    root: Path, set_aside: Sequence[SetAside], loose: Mapping[str, ScanSource]
) -> NoReturn:
    reasons = [item.reason for item in set_aside[:3]]
    if loose:
        reasons.append(f"{counted(len(loose), 'label map')} without image: {listed(loose, 3)}")
    raise DataError(
        root,
        expected="at least one usable scan",
        found="; ".join(reasons),
        remedy=LABEL_REMEDY if loose and not set_aside else "correct the scans",
    )


def _labels_of_files(
    files: Mapping[str, ScanSource], labels: Collection[str], contrast: str
) -> LabelsOf:
    """Label maps by image; a file with several volumes has a label file with as many."""
    file_of = {name: _without_volume(name, source) for name, source in files.items()}
    by_word = {plain_word(contrast): contrast}
    image_of = images_of(
        {file_of[name] for name in labels},
        {file_of[name] for name in files.keys() - labels},
        lambda file: bool(contrast_in_name(PurePosixPath(file), by_word)[1]),
    )
    labels_of: LabelsOf = {}
    for name in sorted(labels):
        file = file_of[name]
        image = image_of.get(file, "") + name.removeprefix(file)
        if image in files:
            labels_of.setdefault(image, {})[name] = files[name]
    return labels_of


def _only_series(root: Path, found: FoundScans) -> dict[Path, str | None]:
    """Folders with DICOM series anywhere below, and its name where it is only one."""
    only: dict[Path, str | None] = {}
    top = root.absolute()
    for name, source in found.sources.items():
        if isinstance(source, DicomSeries):
            for folder in (source.folder, *source.folder.parents):
                only[folder] = None if folder in only else name
                if folder == top:
                    break
    return only


def _series_around(root: Path, label: str, only_series: Mapping[Path, str | None]) -> str | None:
    """The only DICOM series in the folder of a label map, or in that with its name."""
    bare = without_label_word(label)
    for folder in (root / bare, root / PurePosixPath(label).parent):
        if folder.absolute() in only_series:
            return only_series[folder.absolute()]
    return None


def _without_volume(name: str, source: ScanSource) -> str:
    """Name of the file of one of several volumes."""
    return name.removesuffix(source.ending) if isinstance(source, NiftiVolume) else name
