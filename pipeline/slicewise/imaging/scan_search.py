"""Finds the scans of all supported formats below a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slicewise.errors import ScanError, SlicewiseError
from slicewise.file_names import nearest_path
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.reading import is_nrrd, is_nrrd_segmentation
from slicewise.imaging.pictures import is_picture
from slicewise.imaging.scan import ScanSource, source_name, volumes_in
from slicewise.imaging.walk import (
    FileState,
    SpecialFile,
    Walked,
    not_read,
    unusable_name,
    walk,
)

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
    walked = _WithoutDicom(walk(root))
    dicom = scanner.find_among(path, walked)
    files = [path / file.relative_to(root) for file in sorted(walked.rest())]
    sources, set_aside = _volumes(path, [file for file in files if not is_picture(file)])
    series: dict[str, DicomSeries] = {}
    names = UnusedNames(sources)
    for one in dicom.series:
        # Names of folders may be those of patients; names of series are not.
        name = names.of(one.name)
        sources[name] = series[name] = one
    pictures = [file for file in files if is_picture(file)]
    if not sources:
        sources, more = _volumes(path, pictures)
        set_aside += more
        pictures = []
    set_aside += dicom.set_aside
    others = not_read([*pictures, *dicom.others, *walked.special])
    if not sources and not set_aside:
        raise ScanError(
            path,
            expected="NIfTI or NRRD files, DICOM images or pictures",
            found=others or ("no scan in it" if path.is_dir() else "another kind of file"),
            remedy="give a scan, or a folder with scans",
        )
    labels = _labels(series, dicom)
    matched = set(labels.values())
    loose = tuple(label.path for label in dicom.labels if label.path not in matched)
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
    names = UnusedNames(sources)
    for file in files:
        if error := unusable_name(file, below=root if root != file else file.parent):
            errors.append(error)
            continue
        folder = file.relative_to(root).parent
        for volume in volumes_in(file) or [file]:
            # A scan may be there twice, as .nii and as .nii.gz.
            # A segmentation of 3D Slicer often has the name of its image.
            name = source_name(volume) + (".seg" if is_nrrd_segmentation(file) else "")
            sources[names.of(str(folder / name))] = volume
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


class _WithoutDicom:
    """The files below a folder, of which those that are not DICOM by their name are kept.

    A scanner may take them one by one: millions of DICOM files are never in memory at once.
    """

    def __init__(self, walked: Iterator[Walked]) -> None:
        self._walked = walked
        self._files: list[Path] = []
        self.special: list[SpecialFile] = []

    def __iter__(self) -> Iterator[Walked]:
        for item in self._walked:
            if isinstance(item, SpecialFile):
                self.special.append(item)
            elif isinstance(item, FileState) and _is_no_dicom(item.path):
                self._files.append(item.path)
            yield item

    def rest(self) -> list[Path]:
        """NIfTI, NRRD and pictures, when all files have been seen."""
        for _ in self:
            pass
        return self._files


def _is_no_dicom(path: Path) -> bool:
    return is_nifti(path) or is_nrrd(path) or is_picture(path)


class UnusedNames:
    """Gives scans names that no other has: ``a``, ``a-2``, ``a-3`` and so on.

    Args:
        taken: names of scans; whoever asks for a name adds it.
    """

    def __init__(self, taken: Container[str]) -> None:
        self._taken = taken
        self._next: dict[str, int] = {}

    def of(self, name: str) -> str:
        """The first of the names that is not taken."""
        if name not in self._taken:
            return name
        # Names are never given back: where there are thousands alike, counting goes on.
        number = self._next.get(name, 2)
        while (other := f"{name}-{number}") in self._taken:
            number += 1
        self._next[name] = number
        return other
