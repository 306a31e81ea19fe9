"""One door for scans: a path in, the volumes behind it out, NIfTI and DICOM alike."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pipeline.errors import ScanError, SlicewiseError
from pipeline.imaging.dicom.reading import read_series
from pipeline.imaging.dicom.series import DicomSeries, find_series
from pipeline.imaging.nifti.reading import is_nifti, read_nifti, stem
from pipeline.imaging.volume import Volume

ScanSource = Path | DicomSeries
"""A NIfTI file, a DICOM folder with one volume, or one series of a folder with several."""


@dataclass(frozen=True)
class FoundScans:
    """What lies behind a path.

    Attributes:
        sources: name to source; a name is a relative path without suffix.
        set_aside: what cannot be a volume, each with its reason.
    """

    sources: dict[str, ScanSource]
    set_aside: tuple[SlicewiseError, ...]


def find_scans(path: Path) -> FoundScans:
    """Every scan behind a path: a NIfTI file, a folder of them, or a DICOM folder.

    Raises:
        ScanError: the path does not exist or holds no scan at all.
    """
    if path.is_file() and is_nifti(path):
        return FoundScans({stem(path): path}, ())
    if not path.exists():
        raise ScanError(
            path,
            expected="a scan or a folder of scans",
            found="no such file or folder",
            remedy="correct the path",
        )
    if path.is_file():
        raise ScanError(
            path,
            expected="a .nii or .nii.gz file, or a folder",
            found="another kind of file",
            remedy="give the folder of a DICOM series, not one of its files",
        )
    sources: dict[str, ScanSource] = {}
    for file in _nifti_files(path):
        # A scan may lie there twice, as .nii and as .nii.gz.
        sources[_unused(str(file.relative_to(path).parent / stem(file)), sources)] = file
    set_aside: list[SlicewiseError] = []
    for folder in _folders(path):
        try:
            found = find_series(folder)
        except ScanError as error:
            set_aside.append(error)
            continue
        set_aside += found.set_aside
        for series in found.series:
            # The name of a folder may be a patient's; the name of a series is not.
            sources[_unused(series.name, sources)] = series
    if not sources and not set_aside:
        raise ScanError(
            path,
            expected="NIfTI files or DICOM images",
            found="none",
            remedy="give the folder that holds the scans",
        )
    return FoundScans(sources, tuple(set_aside))


def read_scan(source: ScanSource) -> Volume:
    """Read one volume from its source.

    Raises:
        ScanError: damaged, or a folder that does not hold exactly one volume.
    """
    if isinstance(source, DicomSeries):
        return read_series(source)
    if source.is_dir():
        return read_series(_only_series(source))
    if not source.exists():
        raise ScanError(source, expected="a scan", found="no such file", remedy="correct the path")
    return read_nifti(source)


def is_scan(path: Path) -> bool:
    """Whether a path looks like one scan: a NIfTI file, or a folder that could be a series."""
    return is_nifti(path) if path.is_file() else path.is_dir() and not path.name.startswith(".")


def _nifti_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if is_nifti(path) and path.is_file() and not _is_hidden(path, folder):
            yield path


def _folders(path: Path) -> Iterator[Path]:
    yield path
    for folder in sorted(path.rglob("*")):
        if folder.is_dir() and not folder.is_symlink() and not _is_hidden(folder, path):
            yield folder


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _unused(name: str, taken: Container[str]) -> str:
    if name not in taken:
        return name
    return next(other for n in count(2) if (other := f"{name}-{n}") not in taken)


def _only_series(folder: Path) -> DicomSeries:
    found = find_series(folder)
    if len(found.series) == 1:
        return found.series[0]
    if not found.series and found.set_aside:
        raise found.set_aside[0]
    raise ScanError(
        folder,
        expected="one DICOM volume",
        found=f"{len(found.series)}: {', '.join(item.name for item in found.series) or 'none'}",
        remedy="give a folder for each volume",
    )
