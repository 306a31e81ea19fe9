"""Pairs predictions with references by name, and reads each pair on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise.config import ReadingSection
from slicewise.dataset.label_names import is_label_name, label_name
from slicewise.errors import DataError, ScanError
from slicewise.imaging.dicom.seg.reading import NO_NAMES
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.pictures import is_picture, read_picture_mask
from slicewise.imaging.scan import is_scan_file, read_label, read_scan, source_name
from slicewise.imaging.volume import Volume


@dataclass(frozen=True)
class Pair:
    """A prediction and its reference.

    Attributes:
        name: that both bear.
        predicted: file.
        reference: file.
    """

    name: str
    predicted: Path
    reference: Path


@dataclass(frozen=True)
class Pairing:
    """Two places of masks, matched by name.

    Attributes:
        pairs: what can be scored.
        only_predicted: names of predictions without a reference.
        only_reference: names of references without a prediction.
    """

    pairs: list[Pair]
    only_predicted: list[str]
    only_reference: list[str]


def pair_masks(predictions: Path, references: Path) -> Pairing:
    """Match two files, or two folders by name.

    Raises:
        DataError: a path is missing, or nothing matches.
    """
    ours, theirs = _masks(predictions), _masks(references)
    if predictions.is_file() and references.is_file():
        return Pairing([Pair(source_name(references), predictions, references)], [], [])
    # The last one counts: an image that bears the very name may lie next to its label map.
    theirs = {label_name(name, ours): theirs[name] for name in sorted(theirs, key=is_label_name)}
    pairs = [Pair(name, ours[name], theirs[name]) for name in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        raise DataError(
            references,
            expected=f"names as in {predictions}: {', '.join(list(ours)[:3])}",
            found=", ".join(list(theirs)[:3]) or "none",
            remedy="give folders in which the names of the files agree",
        )
    return Pairing(pairs, sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys()))


def read_pair(
    pair: Pair,
    reading: ReadingSection = ReadingSection(),
    names: Mapping[str, int] = NO_NAMES,
) -> tuple[Volume, Volume]:
    """Prediction and reference, both on the grid of the reference.

    A DICOM SEG lies on the grid of its scan; as a reference it is brought onto the grid of the
    prediction, which must be the same.

    Raises:
        GeometryError: two grids.
        LabelError: values that are no whole numbers.
        ScanError: damaged.
    """
    if _is_segmentation(pair.predicted) and _is_segmentation(pair.reference):
        raise ScanError(
            pair.predicted,
            expected="at least one of the two as NIfTI or a picture",
            found="two DICOM SEG objects, which omit empty slices and so the grid",
            remedy="predict with `format` nifti to compare with a DICOM SEG",
        )
    if is_nifti(pair.reference) or is_picture(pair.reference):
        reference = _read_mask(pair.reference, reading)
        return read_label(pair.predicted, reference, reading, names), reference
    predicted = _read_mask(pair.predicted, reading)
    return predicted, read_label(pair.reference, predicted, reading, names)


def label_values(pairs: Iterable[Pair], reading: ReadingSection = ReadingSection()) -> list[int]:
    """Values above 0 that occur in predictions or references, ascending.

    A file that cannot be read, and voxels that are no numbers, have no label; scoring names them.
    """
    values: set[int] = set()
    for pair in pairs:
        for mask in _readable(pair, reading):
            finite = mask.voxels[np.isfinite(mask.voxels)]
            values |= {int(value) for value in np.unique(np.rint(finite))}
    return sorted(values - {0})


def _readable(pair: Pair, reading: ReadingSection) -> Iterator[Volume]:
    try:
        yield from read_pair(pair, reading)
    except ScanError:
        for path in (pair.predicted, pair.reference):
            with suppress(ScanError):
                yield _read_mask(path, reading)


def _is_segmentation(path: Path) -> bool:
    return not (is_nifti(path) or is_picture(path) or path.is_dir())


def _read_mask(path: Path, reading: ReadingSection) -> Volume:
    return read_picture_mask(path) if is_picture(path) else read_scan(path, reading)


def _masks(path: Path) -> dict[str, Path]:
    if path.is_file():
        _require_known_format([path])
        return {source_name(path): path}
    if not path.is_dir():
        raise DataError(
            path,
            expected="a mask or a folder of masks",
            found="no such file or folder",
            remedy="correct the path",
        )
    files = [file for file in sorted(path.rglob("*")) if not _is_map(file)]
    _require_known_format(files)
    files = [file for file in files if is_scan_file(file)]
    # As among scans: a picture next to masks shows something, but is none.
    files = [file for file in files if not is_picture(file)] or files
    # Of one mask in two formats, NIfTI is taken.
    files.sort(key=is_nifti)
    # Masks of scans in subfolders lie in subfolders.
    return {str(file.relative_to(path).parent / source_name(file)): file for file in files}


def _is_map(path: Path) -> bool:
    # Written by `predict --probabilities --uncertainty` next to the masks.
    return path.name.endswith(("_probabilities.nii.gz", "_uncertainty.nii.gz"))


def _require_known_format(files: Iterable[Path]) -> None:
    unknown = next((file for file in files if file.name.endswith(".nrrd")), None)
    if unknown is not None:
        raise DataError(
            unknown,
            expected="masks as NIfTI, pictures or DICOM SEG",
            found="NRRD",
            remedy="predict with `format` nifti, or export the mask as NIfTI",
        )
