"""Reads scans and masks, and writes masks on the grid of their scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slicewise.api.configs import AnyPath
from slicewise.config import ReadingSection
from slicewise.errors import UsageError
from slicewise.imaging import scan as scans
from slicewise.imaging.labels import whole_numbers
from slicewise.imaging.nifti import writing
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.writing import write_segmentation_nrrd
from slicewise.imaging.pictures import is_picture, read_picture_mask, write_picture_mask
from slicewise.imaging.structures import structures_of
from slicewise.imaging.target import outputs
from slicewise.imaging.volume import Volume

_MASK_SUFFIXES = (".nii.gz", ".nii", ".seg.nrrd", ".png", ".tif", ".tiff")
"""DICOM SEG is written by ``predict``, which knows the model and the patient."""


def read_scan(path: AnyPath, *, reading: ReadingSection | None = None) -> Volume:
    """Read a scan to its last voxel.

    Args:
        path: a NIfTI file, a folder or file of one DICOM series, or a picture (PNG, TIFF, JPEG).
        reading: how unusual scans are read; see the section ``reading`` of a configuration.

    Returns:
        Voxels of shape (X, Y, Z) with their affine in RAS+ millimetres; ``warnings`` names what
        was noticed or repaired.

    Raises:
        ScanError: no such scan, a damaged one, or several.
        GeometryError: voxels and world do not fit together.

    Example:
        >>> scan = slicewise.read_scan("my_scans/images/case0.nii.gz")
        >>> scan.shape, scan.orientation
        ((22, 19, 5), 'LPS')
    """
    return scans.read_scan(Path(path), reading or ReadingSection())


def read_mask(
    path: AnyPath,
    scan: Volume | None = None,
    *,
    labels: Mapping[str, int] | None = None,
    reading: ReadingSection | None = None,
) -> Volume:
    """Read a label map.

    Args:
        path: a NIfTI file, a picture, or a DICOM SEG.
        scan: that it labels; the mask is then returned on the very grid of the scan, with axes
            flipped and swapped as needed. None keeps the grid of the file.
        labels: structure name to value, for a DICOM SEG whose segments bear these names.
        reading: how unusual files are read; labels are never resampled.

    Returns:
        Whole numbers of shape (X, Y, Z).

    Raises:
        GeometryError: the mask lies on another grid than its scan.
        LabelError: values that are no whole numbers.
        ScanError: damaged, or not exactly one volume.

    Example:
        >>> scan = slicewise.read_scan("my_scans/images/case0.nii.gz")
        >>> mask = slicewise.read_mask("my_scans/labels/case0.nii.gz", scan)
        >>> int(mask.voxels.max())
        3
    """
    section = reading or ReadingSection()
    source = Path(path)
    if scan is not None:
        return scans.read_label(source, scan, section, labels or {})
    if is_picture(source):
        return read_picture_mask(source)
    stored = scans.read_scan(source, section)
    return stored.with_voxels(whole_numbers(stored.voxels, str(path)))


def write_mask(
    mask: Volume,
    path: AnyPath,
    scan: Volume | None = None,
    *,
    labels: Mapping[str, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a label map and check what was written.

    Args:
        mask: label values, shape (X, Y, Z); a prediction of a model is one.
        path: ends in ``.nii``, ``.nii.gz``, ``.seg.nrrd`` (3D Slicer) or a suffix of a picture.
        scan: whose NIfTI header the mask takes; None takes that of the mask, which a prediction
            has from its scan.
        labels: structure name to value, which ``.seg.nrrd`` needs.
        overwrite: replace a file that this function did not write, or that was changed since.

    Returns:
        The path of the file.

    Raises:
        UsageError: another suffix, or ``.seg.nrrd`` without ``labels``.
        GeometryError: mask and scan lie on different grids.
        LabelError: labels that are no whole numbers.
        OutputError: the file cannot be written, or would replace one of others.

    Example:
        >>> model = slicewise.load_model("my_model")
        >>> mask = model.predict("my_scans/images/case0.nii.gz")
        >>> slicewise.write_mask(mask, "case0_mask.nii.gz").name
        'case0_mask.nii.gz'
    """
    target = Path(path)
    files, suffixes = {"path": [target]}, {"path": _MASK_SUFFIXES}
    with outputs("write_mask", files, overwrite=overwrite, suffixes=suffixes):
        _write_mask(mask, target, scan or mask, labels)
    return target


def _write_mask(mask: Volume, target: Path, scan: Volume, labels: Mapping[str, int] | None) -> None:
    if target.name.lower().endswith(".seg.nrrd"):
        if not labels:
            raise UsageError(
                "`labels`",
                expected="the names of the structures, which .seg.nrrd holds",
                found="no names",
                remedy="for example: labels={'lesion': 1}",
            )
        write_segmentation_nrrd(mask, structures_of(labels, {}), target)
    elif is_nifti(target):
        writing.write_mask(mask, scan, target)
    else:
        write_picture_mask(mask, target)
