"""One door for scans and labels: a path in, the volumes behind it out, whatever their format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, ScanError, SlicewiseError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner, SeriesScan
from slicewise.imaging.dicom.seg.reading import NO_NAMES, read_segmentation
from slicewise.imaging.dicom.series import DicomSeries
from slicewise.imaging.labels import INTEGER_TOLERANCE, whole_numbers
from slicewise.imaging.nifti.reading import (
    NiftiVolume,
    is_nifti,
    read_nifti,
    stem,
    volume_count,
)
from slicewise.imaging.pictures import is_picture, read_picture, read_picture_mask
from slicewise.imaging.volume import Volume, require_same_grid

ScanSource = Path | NiftiVolume | DicomSeries
"""A NIfTI file or one volume of it, a picture, a DICOM file or folder with one volume, or one
series of a folder with several."""

MAXIMUM_VOLUMES = 10_000
"""Of one file; a header that promises more is damaged."""
NOTICED_VOXELS = 1e-3
"""Grids that are further apart than by rounding, if less than is refused, get a warning."""
_DICOM_SUFFIXES = (".seg.dcm", ".dcm")
_PLAIN_SCANNER = DicomScanner()


@dataclass(frozen=True)
class FoundScans:
    """What lies behind a path.

    Attributes:
        sources: name to source; a name is a relative path without suffix, or that of a series.
        set_aside: what cannot be a volume, each with its reason.
        labels: name of a series to the DICOM SEG that labels it, where there is one only.
        loose_labels: DICOM SEG files of no series here, of several, or beside others of the same.
    """

    sources: dict[str, ScanSource]
    set_aside: tuple[SlicewiseError, ...] = ()
    labels: dict[str, ScanSource] = field(default_factory=dict)
    loose_labels: tuple[Path, ...] = ()


def find_scans(path: Path, scanner: DicomScanner = _PLAIN_SCANNER) -> FoundScans:
    """Every scan behind a path: a file, or what lies below a folder.

    A NIfTI file with several volumes becomes as many scans, ``NAME_v001`` and so on. Pictures
    count only where nothing below the folder is a NIfTI file or a DICOM volume: a screenshot
    beside scans is no scan.

    Raises:
        ScanError: the path does not exist or holds no scan at all.
    """
    if not path.exists():
        raise ScanError(
            path,
            expected="a scan or a folder of scans",
            found="no such file or folder",
            remedy="correct the path",
        )
    sources: dict[str, ScanSource] = {}
    for folder, file in _files(path, is_nifti):
        for volume in volumes_in(file) or [file]:
            # A scan may lie there twice, as .nii and as .nii.gz.
            sources[_unused(str(folder / source_name(volume)), sources)] = volume
    dicom = scanner.find(path)
    series: dict[str, DicomSeries] = {}
    for one in dicom.series:
        # The name of a folder may be a patient's; the name of a series is not.
        series[_unused(one.name, {**sources, **series})] = one
    sources.update(series)
    if not sources:
        for folder, file in _files(path, is_picture):
            sources[_unused(str(folder / source_name(file)), sources)] = file
    if not sources and not dicom.set_aside:
        raise ScanError(
            path,
            expected="NIfTI files, DICOM images or pictures",
            found="none",
            remedy="give a scan, or the folder that holds the scans",
        )
    labels = _labels(series, dicom)
    loose = tuple(label.path for label in dicom.labels if label.path not in labels.values())
    return FoundScans(sources, dicom.set_aside, labels, loose)


def volumes_in(path: Path) -> Sequence[Path | NiftiVolume]:
    """A NIfTI file, or each of its volumes where it has several.

    None of a damaged file; what is wrong with it is told when it is read.
    """
    try:
        volumes = volume_count(path)
    except ScanError:
        return []
    if volumes == 1:
        return [path]
    if volumes > MAXIMUM_VOLUMES:
        return []
    return [NiftiVolume(path, number) for number in range(volumes)]


def read_scan(source: ScanSource, reading: ReadingSection = ReadingSection()) -> Volume:
    """Read one volume from its source.

    Raises:
        ScanError: damaged, or a path that does not hold exactly one volume.
    """
    if isinstance(source, DicomSeries):
        return read_series(source, reading=reading)
    if isinstance(source, NiftiVolume):
        return read_nifti(source.path, reading, source.volume)
    if not source.exists():
        raise ScanError(source, expected="a scan", found="no such file", remedy="correct the path")
    if source.is_file() and is_nifti(source):
        return read_nifti(source, reading)
    if source.is_file() and is_picture(source):
        return read_picture(source, reading)
    return read_series(only_series(source, reading), reading=reading)


def read_label(
    source: ScanSource,
    image: Volume,
    reading: ReadingSection = ReadingSection(),
    names: Mapping[str, int] = NO_NAMES,
) -> Volume:
    """Read the label map of an image, on the very grid of the image.

    A label map whose axes are stored in another order or direction is turned. A picture has no
    geometry of its own and takes that of its image, if that is a picture or a DICOM slice, too. A
    file that is neither NIfTI nor picture is a DICOM SEG; a folder is a series of label images.

    Args:
        source: of the label map.
        image: what it labels.
        reading: how faults are met; labels are never resampled.
        names: structure name to value, for a DICOM SEG whose segments bear these names.

    Returns:
        Whole numbers; the warnings are those of the label map alone.

    Raises:
        GeometryError: the label map lies on another grid than its image.
        LabelError: values that are no whole numbers.
        ScanError: damaged, or not exactly one volume.
    """
    stored = replace(_stored_label(source, image, reading, names), name=str(source))
    # Near 45 degrees the nearest anatomical axes of one grid may seem to be two.
    is_on_grid = image.grid_difference_voxels(stored) <= NOTICED_VOXELS
    label = stored if is_on_grid else stored.reoriented(image.orientation)
    require_same_grid(image, label)
    warnings = stored.warnings
    apart = image.grid_difference_voxels(label)
    if apart > NOTICED_VOXELS:
        warnings += (f"lies {apart:.1g} voxels beside its image, which is taken for the same",)
    labels = whole_numbers(label.voxels, str(source))
    if (labels != label.voxels).any():
        warnings += (f"values within {INTEGER_TOLERANCE} of whole numbers were rounded",)
    # The name of a DICOM SEG may be a patient's.
    return replace(image, voxels=labels, name=f"label of {image.name}", warnings=warnings)


def is_scan(path: Path) -> bool:
    """Whether a path looks like one scan: a file of a known kind, or a folder that could be one."""
    return is_scan_file(path) if path.is_file() else path.is_dir() and not path.name.startswith(".")


def is_scan_file(path: Path) -> bool:
    """Whether a name ends like that of a scan: NIfTI, picture or DICOM."""
    is_dicom = path.name.lower().endswith(_DICOM_SUFFIXES) and not path.name.startswith(".")
    return is_nifti(path) or is_picture(path) or is_dicom


def source_name(source: Path | NiftiVolume) -> str:
    """File name without the suffix of its kind; of one volume of several, with its number."""
    if isinstance(source, NiftiVolume):
        return source.name
    if is_picture(source):
        return source.stem
    for suffix in _DICOM_SUFFIXES:
        if source.name.lower().endswith(suffix):
            return source.name[: -len(suffix)]
    return stem(source)


def _files(path: Path, is_wanted: Callable[[Path], bool]) -> Iterator[tuple[Path, Path]]:
    """Wanted files with their folders, which are relative to the path."""
    if path.is_file() and is_wanted(path):
        yield Path(), path
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        hidden = any(part.startswith(".") for part in relative.parts)
        if is_wanted(file) and file.is_file() and not hidden:
            yield relative.parent, file


def _labels(series: dict[str, DicomSeries], found: SeriesScan) -> dict[str, ScanSource]:
    """The DICOM SEG of each series, if it has one of its own."""
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


def _stored_label(
    source: ScanSource, image: Volume, reading: ReadingSection, names: Mapping[str, int]
) -> Volume:
    if isinstance(source, Path) and source.is_file():
        if is_picture(source):
            return _picture_label(source, image)
        if not is_nifti(source):
            return read_segmentation(source, onto=image, names=names)
    # Interpolated labels may be whole numbers, and wrong.
    return read_scan(source, reading.model_copy(update={"irregular_slices": "refuse"}))


def _picture_label(path: Path, image: Volume) -> Volume:
    label = read_picture_mask(path)
    if image.header is not None:
        raise GeometryError(
            path,
            expected="a label map with a geometry, as its image has one",
            found="a picture, whose rows and columns could lie in any direction",
            remedy="export the label map as NIfTI",
        )
    if label.shape != image.shape:
        raise GeometryError(
            path,
            expected=f"the size of its image: {' x '.join(map(str, image.shape))}",
            found=" x ".join(map(str, label.shape)),
            remedy="export the label map in the size of the image",
        )
    # That a picture has no geometry was said of its image already.
    return replace(image, voxels=label.voxels, name=label.name, warnings=())


def only_series(path: Path, reading: ReadingSection = ReadingSection()) -> DicomSeries:
    """The one DICOM volume of a file or folder.

    Raises:
        ScanError: none, or several.
    """
    found = DicomScanner(reading).find(path)
    if len(found.series) == 1:
        return found.series[0]
    if not found.series and found.set_aside:
        raise found.set_aside[0]
    raise ScanError(
        path,
        expected="one DICOM volume",
        found=f"{len(found.series)}: {', '.join(item.name for item in found.series) or 'none'}",
        remedy="give a path for each volume",
    )
