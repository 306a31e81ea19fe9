"""Reads scans and label maps of all supported formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, LabelError, ScanError
from slicewise.imaging.dicom.reading import read_series
from slicewise.imaging.dicom.scanner import DicomScanner
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
from slicewise.imaging.nrrd.reading import (
    is_nrrd,
    is_nrrd_segmentation,
    nrrd_stem,
    read_nrrd,
    read_nrrd_segmentation,
)
from slicewise.imaging.pictures import is_picture, read_picture, read_picture_mask
from slicewise.imaging.volume import Volume, require_same_grid
from slicewise.quantities import counted

ScanSource = Path | NiftiVolume | DicomSeries
"""A NIfTI file or one of its volumes, a picture, a DICOM file or folder with one volume, or one
DICOM series."""

MAXIMUM_VOLUMES = 10_000
"""Maximum number of volumes in a file; a header with more is damaged."""
NOTICED_VOXELS = 1e-3
"""Larger differences of grids are not due to rounding, and lead to a warning."""
_DICOM_SUFFIXES = (".seg.dcm", ".dcm", ".dicom", ".ima")


def path_of(source: ScanSource) -> Path:
    """File or folder of a scan."""
    if isinstance(source, DicomSeries):
        return source.folder
    return source.path if isinstance(source, NiftiVolume) else source


def volumes_in(path: Path) -> Sequence[Path | NiftiVolume]:
    """A file, or each of its volumes if it is NIfTI with several.

    Empty for a damaged file, whose error is raised when it is read.
    """
    if not is_nifti(path):
        return [path]
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
        ScanError: damaged, or not exactly one volume.
    """
    if isinstance(source, DicomSeries):
        return read_series(source, reading=reading)
    if isinstance(source, NiftiVolume):
        return read_nifti(source.path, reading, source.volume)
    if not source.exists():
        raise ScanError(source, expected="a scan", found="no such file", remedy="correct the path")
    if source.is_file() and is_nifti(source):
        return read_nifti(source, reading)
    if source.is_file() and is_nrrd_segmentation(source):
        return read_nrrd_segmentation(source, {})
    if source.is_file() and is_nrrd(source):
        return read_nrrd(source, reading)
    if source.is_file() and is_picture(source):
        return read_picture(source, reading)
    return read_series(only_series(source, reading), reading=reading)


def read_label(
    source: ScanSource,
    image: Volume,
    reading: ReadingSection = ReadingSection(),
    names: Mapping[str, int] = NO_NAMES,
) -> Volume:
    """Read the label map of an image on the grid of the image.

    A label map with another order or direction of axes is reoriented. A picture gets the geometry
    of its image, which must be a picture or a DICOM slice. A file that is neither NIfTI nor a
    picture is a DICOM SEG; a folder is a series of label images.

    Args:
        source: of the label map.
        image: of the label map.
        reading: error handling; labels are never resampled.
        names: structure name to value, for segments of a DICOM SEG with these names.

    Returns:
        Whole numbers; the warnings are those of the label map only.

    Raises:
        GeometryError: the label map is on another grid than its image.
        LabelError: values that are not whole numbers.
        ScanError: damaged, or not exactly one volume.
    """
    stored = replace(_stored_label(source, image, reading, names), name=str(source))
    # Near 45 degrees the nearest anatomical axes of a grid are ambiguous.
    is_on_grid = image.grid_difference_voxels(stored) <= NOTICED_VOXELS
    label = stored if is_on_grid else stored.reoriented(image.orientation)
    require_same_grid(image, label)
    warnings = stored.warnings
    difference = image.grid_difference_voxels(label)
    if difference > NOTICED_VOXELS:
        warnings += (
            f"differs by {difference:.1g} voxels from the grid of its image, which is used",
        )
    labels = whole_numbers(label.voxels, str(source))
    if (labels != label.voxels).any():
        warnings += (f"values within {INTEGER_TOLERANCE} of whole numbers were rounded",)
    # The name of a DICOM SEG may be that of a patient.
    return replace(image, voxels=labels, name=f"label of {image.name}", warnings=warnings)


def is_scan(path: Path) -> bool:
    """Whether a path may be a scan: a file of a supported format, or a folder."""
    return is_scan_file(path) if path.is_file() else path.is_dir() and not path.name.startswith(".")


def is_scan_file(path: Path) -> bool:
    """Whether a path has the suffix of NIfTI, a picture or DICOM."""
    is_dicom = path.name.lower().endswith(_DICOM_SUFFIXES) and not path.name.startswith(".")
    return is_nifti(path) or is_nrrd(path) or is_picture(path) or is_dicom


def source_name(source: Path | NiftiVolume) -> str:
    """File name without suffix; for one of several volumes, with its number."""
    if isinstance(source, NiftiVolume):
        return source.name
    if is_picture(source):
        return source.stem
    if is_nrrd(source):
        return nrrd_stem(source)
    for suffix in _DICOM_SUFFIXES:
        if source.name.lower().endswith(suffix):
            return source.name[: -len(suffix)]
    return stem(source)


def _stored_label(
    source: ScanSource, image: Volume, reading: ReadingSection, names: Mapping[str, int]
) -> Volume:
    if isinstance(source, Path) and source.is_file():
        if is_picture(source):
            return _picture_label(source, image)
        if is_nrrd_segmentation(source):
            return read_nrrd_segmentation(source, names, onto=image)
        if not (is_nifti(source) or is_nrrd(source)):
            return read_segmentation(source, onto=image, names=names)
    if isinstance(source, Path) and source.is_file() and is_nifti(source):
        _require_one_label_map(source)
    # Interpolated labels may be whole numbers, but wrong.
    return read_scan(source, reading.model_copy(update={"irregular_slices": "refuse"}))


def _require_one_label_map(path: Path) -> None:
    volumes = volume_count(path)
    if volumes > 1:
        raise LabelError(
            f"{path}: dim",
            expected="one volume, in which each voxel has the value of its structure",
            found=f"{volumes} volumes, such as one for each structure (one-hot)",
            remedy="write one volume: value 0 for background, 1 for the first structure, 2 for the "
            "second, and so on; if the first volume is the background, that is the argmax over "
            "the volumes",
        )


def _picture_label(path: Path, image: Volume) -> Volume:
    label = read_picture_mask(path)
    if image.header is not None:
        raise GeometryError(
            path,
            expected="a label map with a geometry, like its image",
            found="a picture, which has none",
            remedy="export the label map as NIfTI",
        )
    if label.shape != image.shape:
        raise GeometryError(
            path,
            expected=f"the size of its image: {' x '.join(map(str, image.shape))}",
            found=" x ".join(map(str, label.shape)),
            remedy="export the label map in the size of the image",
        )
    # The image has the same warning already.
    return replace(image, voxels=label.voxels, name=label.name, warnings=())


def only_series(path: Path, reading: ReadingSection = ReadingSection()) -> DicomSeries:
    """The only DICOM volume of a file or folder.

    Raises:
        ScanError: none, or several.
    """
    found = DicomScanner(reading).find(path)
    if len(found.series) == 1:
        return found.series[0]
    if not found.series and found.set_aside:
        raise found.set_aside[0]
    if not found.series:
        is_folder = path.is_dir()
        raise ScanError(
            path,
            expected="a file of NIfTI, NRRD or DICOM, a picture, or a folder with one DICOM series",
            found="a folder without DICOM images" if is_folder else "another file",
            remedy="give one of the files in the folder" if is_folder else "give another file",
        )
    raise ScanError(
        path,
        expected="one volume",
        found=f"{counted(len(found.series), 'volume')}: "
        + ", ".join(item.name for item in found.series),
        remedy="give a path for each volume",
    )
