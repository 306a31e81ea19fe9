"""Finds the scans of all supported formats below a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from slicewise.errors import ScanError, SlicewiseError
from slicewise.file_names import nearest_path
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.reading import is_nrrd, is_nrrd_segmentation
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, source_name, volumes_in
from slicewise.imaging.walk import FileState, SpecialFile, not_read, unusable_name, walk

_PLAIN_SCANNER = DicomScanner()


@dataclass(frozen=True)
class FoundScans:
    """The scans at a path.

    Attributes:
        sources: name to source; a name is a relative path without suffix, or that of a series.
        set_aside: errors of files that are not usable.
        labels: name of a series to its DICOM SEG, if there is exactly one.
        loose_labels: other DICOM SEG files: of no series here, of several, or one of several of
            the same series.
        notes: sentences about the search.
    """

    sources: dict[str, ScanSource]
    set_aside: tuple[SlicewiseError, ...] = ()
    labels: dict[str, ScanSource] = field(default_factory=dict)
    loose_labels: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def find_scans(path: Path, scanner: DicomScanner = _PLAIN_SCANNER) -> FoundScans:
    """Find all scans at a path: a file, or the files below a folder.

    Each volume of a NIfTI file with several is a scan, ``NAME_v001`` and so on. Pictures are
    ignored if there are other scans, because they may be screenshots. Files that are not read are
    counted in the notes.

    Raises:
        ScanError: the path does not exist, or has no scans.
    """
    _require_usable(path)
    root = path.absolute()
    walked = list(walk(root))
    states = (item for item in walked if isinstance(item, FileState))
    files = sorted(path / state.path.relative_to(root) for state in states)
    sources, set_aside = _volumes(path, [file for file in files if is_nifti(file) or is_nrrd(file)])
    dicom = scanner.find_among(path, walked)
    series: dict[str, DicomSeries] = {}
    for one in dicom.series:
        # Names of folders may be those of patients; names of series are not.
        series[_unused(one.name, {**sources, **series})] = one
    sources.update(series)
    pictures = [file for file in files if is_picture(file)]
    if not sources:
        sources, more = _volumes(path, pictures)
        set_aside += more
        pictures = []
    set_aside += dicom.set_aside
    special = (item for item in walked if isinstance(item, SpecialFile))
    others = not_read([*pictures, *dicom.others, *special])
    if not sources and not set_aside:
        raise ScanError(
            path,
            expected="NIfTI or NRRD files, DICOM images or pictures",
            found=others or ("no scan in it" if path.is_dir() else "another kind of file"),
            remedy="give a scan, or a folder with scans",
        )
    labels = _labels(series, dicom)
    loose = tuple(label.path for label in dicom.labels if label.path not in labels.values())
    notes = (f"not read, because they are no scans: {others}",) if others else ()
    return FoundScans(sources, tuple(set_aside), labels, loose, notes)


def _require_usable(path: Path) -> None:
    if error := unusable_name(path):
        raise error
    if not path.exists():
        raise ScanError(
            path,
            expected="a scan or a folder of scans",
            found="no such file or folder",
            remedy=nearest_path(path) or "correct the path",
        )
    if not (path.is_file() or path.is_dir()):
        raise ScanError(
            path,
            expected="a scan or a folder of scans",
            found="neither a file nor a folder, but a pipe or a device",
            remedy="correct the path",
        )


def _volumes(
    root: Path, files: Sequence[Path]
) -> tuple[dict[str, ScanSource], list[SlicewiseError]]:
    """Each volume of the files by name, and errors about names."""
    sources: dict[str, ScanSource] = {}
    errors: list[SlicewiseError] = []
    for file in files:
        if error := unusable_name(file, below=root if root != file else file.parent):
            errors.append(error)
            continue
        folder = file.relative_to(root).parent
        for volume in volumes_in(file) or [file]:
            # A scan may be there twice, as .nii and as .nii.gz.
            # A segmentation of 3D Slicer often has the name of its image.
            name = source_name(volume) + (".seg" if is_nrrd_segmentation(file) else "")
            sources[_unused(str(folder / name), sources)] = volume
    return sources, errors


def _labels(series: dict[str, DicomSeries], found: SeriesScan) -> dict[str, ScanSource]:
    """The DICOM SEG of each series that has exactly one."""
    by_uid = Counter(one.series_uid for one in series.values())
    labelled = Counter(uid for label in found.labels for uid in label.series_uids)
    path_of = {uid: label.path for label in found.labels for uid in label.series_uids}
    return {
        name: path_of[one.series_uid]
        for name, one in series.items()
        if one.series_uid and by_uid[one.series_uid] == labelled[one.series_uid] == 1
    }


def _unused(name: str, taken: Container[str]) -> str:
    if name not in taken:
        return name
    return next(other for n in count(2) if (other := f"{name}-{n}") not in taken)
