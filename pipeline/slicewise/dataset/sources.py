"""Finds the sources of scans in a data set, and names their cases."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

from slicewise.dataset.catalogue import Images, Listing, SetAside
from slicewise.dataset.label_names import label_name
from slicewise.errors import DataError, ScanError
from slicewise.imaging.dicom.scanner import DicomScanner
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.reading import is_nrrd
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, is_scan, source_name, volumes_in
from slicewise.imaging.walk import SpecialFile, entries, not_read, unusable_name

Value = TypeVar("Value")


@dataclass(frozen=True)
class FolderContent:
    """What lies directly in a folder.

    Attributes:
        scans: files of scans, and folders, which may be DICOM series; in the order of their names.
        set_aside: what cannot be opened, or has a name in another encoding than UTF-8.
        notes: sentences about files that are not read.
    """

    scans: tuple[Path, ...]
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()


def scans_in(folder: Path) -> FolderContent:
    """Find the scans in a folder, without those in its folders.

    Pictures are ignored if there are NIfTI, NRRD or DICOM files.

    Raises:
        DataError: the folder does not exist.
    """
    if not folder.is_dir():
        raise DataError(
            folder,
            expected="a folder",
            found="no such folder",
            remedy="correct data.root or data.layout",
        )
    scans: list[Path] = []
    others: list[Path | SpecialFile] = []
    errors: list[ScanError] = []
    for item in entries(folder):
        if isinstance(item, ScanError):
            errors.append(item)
        elif isinstance(item, SpecialFile):
            others.append(item)
        elif error := unusable_name(item, below=folder):
            errors.append(error)
        else:
            (scans if is_scan(item) else others).append(item)
    if any(path.is_file() and not is_picture(path) for path in scans):
        pictures = {path for path in scans if is_picture(path) and path.is_file()}
        others += [path for path in scans if path in pictures]
        scans = [path for path in scans if path not in pictures]
    counts = not_read(others)
    return FolderContent(
        tuple(scans),
        tuple(SetAside.from_error(Path(error.where).name, error) for error in errors),
        (f"not read in {folder.name}, because they are no scans: {counts}",) if counts else (),
    )


def by_name(paths: Iterable[Path], images: Collection[str] = ()) -> dict[str, ScanSource]:
    """Paths by case name; the ending of a label is removed if this is the name of an image.

    Raises:
        DataError: two files have the same name.
    """
    named: dict[str, ScanSource] = {}
    for path in paths:
        # macOS writes accents as letters of their own, so names that look alike may differ.
        name = label_name(unicodedata.normalize("NFC", source_name(path)), images)
        if name in named:
            raise second_file(path, name, named[name])
        named[name] = path
    return named


def second_file(path: Path, what: str, first: ScanSource) -> DataError:
    """The error for a second file of what has one."""
    return DataError(
        path,
        expected=f"one file for {what}",
        found=f"{first} as well",
        remedy="remove or rename one of the two",
    )


def with_separate_volumes(listing: Listing) -> Listing:
    """Make each volume of a NIfTI file with several a case, ``NAME_v001`` and so on.

    Its label is the same volume of the label file. A label file with another number of volumes
    leads to an error when the case is read.
    """
    images, labels = dict(listing.images), dict(listing.labels)
    patients = None if listing.patients is None else dict(listing.patients)
    file_names = dict(listing.file_names)
    for name, (first, *others) in listing.images.items():
        volumes = _volumes(first)
        if others or len(volumes) == 1:
            continue
        label = labels.get(name)
        of_label = [] if label is None else _volumes(label)
        if label is not None and len(of_label) != len(volumes):
            continue
        names = [f"{name}_v{number:03d}" for number in range(1, len(volumes) + 1)]
        del images[name]
        labels.pop(name, None)
        _require_free(set(names) & (images.keys() | labels.keys()), first, names)
        images |= {one: (volume,) for one, volume in zip(names, volumes, strict=True)}
        labels |= dict(zip(names, of_label, strict=False))
        file_names |= {one: file_names.get(name, name) for one in names}
        if patients is not None:
            patients |= dict.fromkeys(names, patients.pop(name))
    return replace(listing, images=images, labels=labels, patients=patients, file_names=file_names)


def with_series_known(listing: Listing, scanner: DicomScanner) -> Listing:
    """Replace DICOM files and folders among the images by their series, which has the patient.

    A folder without a series, or with several, leads to an error when the case is read.
    """

    def known(source: ScanSource) -> ScanSource:
        if not _is_dicom(source) or not isinstance(source, Path):
            return source
        try:
            found = scanner.find(source)
        except ScanError:
            return source
        return found.series[0] if len(found.series) == 1 else source

    images: dict[str, Images] = {
        name: (known(first), *tuple(other and known(other) for other in others))
        for name, (first, *others) in listing.images.items()
    }
    return replace(listing, images=images)


def without_dicom_names(listing: Listing, chosen: Collection[str] = ()) -> Listing:
    """Rename cases with the names of DICOM files or folders to ``dicom-1`` and so on.

    Such names may be those of patients, and names of cases are used for masks and in tables.

    Args:
        listing: with the names of the files.
        chosen: names of cases that were given explicitly, and are kept.
    """
    names = {*listing.images, *listing.labels} - set(chosen)
    unsafe = [
        name
        for name in sorted(names)
        if any(_names(source, name) for source in _sources(listing, name))
    ]
    new_names = dict(zip(unsafe, _neutral_names(names), strict=False))
    return replace(
        listing,
        images=_renamed(listing.images, new_names),
        labels=_renamed(listing.labels, new_names),
        patients=None if listing.patients is None else _renamed(listing.patients, new_names),
        file_names=listing.file_names | {new: old for old, new in new_names.items()},
    )


def _volumes(source: ScanSource) -> list[ScanSource]:
    if isinstance(source, Path) and is_nifti(source) and source.is_file():
        return list(volumes_in(source)) or [source]
    return [source]


def _sources(listing: Listing, name: str) -> list[ScanSource]:
    sources = [*listing.images.get(name, ()), listing.labels.get(name)]
    return [source for source in sources if source is not None]


def _require_free(taken: Collection[str], file: ScanSource, names: Sequence[str]) -> None:
    if taken:
        raise DataError(
            str(file),
            expected=f"no other cases with the names of its volumes, {names[0]} and so on",
            found=f"{sorted(taken)[0]} as well",
            remedy="rename one of the files",
        )


def _names(source: ScanSource, case: str) -> bool:
    """Whether a case has the name of its DICOM file or folder."""
    return isinstance(source, Path) and _is_dicom(source) and source_name(source) == case


def _is_dicom(source: ScanSource) -> bool:
    """Whether a source is a DICOM file or folder."""
    if not isinstance(source, Path):
        return False
    return source.is_dir() or not (is_nifti(source) or is_nrrd(source) or is_picture(source))


def _neutral_names(taken: Collection[str]) -> Iterator[str]:
    return (name for number in count(1) if (name := f"dicom-{number}") not in taken)


def _renamed(values: dict[str, Value], new_names: dict[str, str]) -> dict[str, Value]:
    return {new_names.get(name, name): value for name, value in values.items()}
