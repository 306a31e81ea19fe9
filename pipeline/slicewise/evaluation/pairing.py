"""Pairs predictions with references by name, and reads each pair on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slicewise.config import ReadingSection
from slicewise.dataset.label_names import is_label_name, label_name, without_label_word
from slicewise.dataset.mask_sources import Sources, labels_by_source
from slicewise.errors import DataError, ScanError
from slicewise.file_names import nearest_path
from slicewise.imaging.dicom.seg.reading import NO_NAMES
from slicewise.imaging.mark import require_one_maker
from slicewise.imaging.nifti.reading import is_nifti
from slicewise.imaging.nrrd.reading import is_nrrd, is_nrrd_segmentation, read_nrrd_segmentation
from slicewise.imaging.pictures import is_picture, read_picture_mask
from slicewise.imaging.scan import is_scan_file, read_label, read_scan, source_name
from slicewise.imaging.volume import Volume
from slicewise.imaging.walk import FileState, walk

NO_SOURCES: Sources = {}


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
        by_source: names of predictions that were matched by the names of their scans.
    """

    pairs: list[Pair]
    only_predicted: list[str]
    only_reference: list[str]
    by_source: tuple[str, ...] = ()


def pair_masks(predictions: Path, references: Path, sources: Sources = NO_SOURCES) -> Pairing:
    """Match two files, or two folders by name.

    Masks of DICOM, whose names are neutral, are matched by the names of the files or folders of
    their scans.

    Args:
        predictions: mask, or folder of masks.
        references: label map, or folder of label maps.
        sources: of the masks, as they were recorded when these were written.

    Raises:
        DataError: a path is missing, nothing matches, or the predictions are of several models.
    """
    ours, theirs = _masks(predictions), _masks(references)
    require_one_maker(ours.values(), predictions)
    if predictions.is_file() and references.is_file():
        return Pairing([Pair(source_name(references), predictions, references)], [], [])
    # The last one counts: an image that bears the very name may lie next to its label map.
    theirs = {label_name(name, ours): theirs[name] for name in sorted(theirs, key=is_label_name)}
    alone = {name: path for name, path in ours.items() if name not in theirs}
    others = sorted(theirs.keys() - ours.keys())
    # Anna_seg, or Anna/seg, is the label map of the scan in the folder Anna.
    label_of = {without_label_word(name): name for name in others} | {name: name for name in others}
    by_source = labels_by_source(alone, label_of, sources)
    theirs |= {name: theirs.pop(other) for name, other in by_source.items()}
    pairs = [Pair(name, ours[name], theirs[name]) for name in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        raise DataError(
            references,
            expected=f"names as in {predictions}: {', '.join(list(ours)[:3])}",
            found=", ".join(list(theirs)[:3]) or "no masks",
            remedy="give folders in which the names of the files agree; masks of DICOM are matched "
            "by the names of the folders of their scans, with the `work` of their prediction",
        )
    return Pairing(
        pairs,
        sorted(ours.keys() - theirs.keys()),
        sorted(theirs.keys() - ours.keys()),
        tuple(sorted(by_source)),
    )


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
    has_whole_grid = not (_is_segmentation(pair.reference) or is_nrrd_segmentation(pair.reference))
    if has_whole_grid or _is_segmentation(pair.predicted):
        reference = _read_mask(pair.reference, reading, names)
        return read_label(pair.predicted, reference, reading, names), reference
    predicted = _read_mask(pair.predicted, reading, names)
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
                yield _read_mask(path, reading, NO_NAMES)


def _is_segmentation(path: Path) -> bool:
    return not (is_nifti(path) or is_nrrd(path) or is_picture(path) or path.is_dir())


def _read_mask(path: Path, reading: ReadingSection, names: Mapping[str, int]) -> Volume:
    if is_nrrd_segmentation(path):
        return read_nrrd_segmentation(path, names)
    return read_picture_mask(path) if is_picture(path) else read_scan(path, reading)


def _masks(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {source_name(path): path}
    if not path.is_dir():
        raise DataError(
            path,
            expected="a mask or a folder of masks",
            found="no such file or folder",
            remedy=nearest_path(path) or "correct the path",
        )
    files = sorted(item.path for item in walk(path) if isinstance(item, FileState))
    files = [file for file in files if is_scan_file(file) and not _is_map(file)]
    # As among scans: a picture next to masks shows something, but is none.
    files = [file for file in files if not is_picture(file)] or files
    # Of one mask in two formats, NIfTI is taken.
    files.sort(key=is_nifti)
    # Masks of scans in subfolders lie in subfolders.
    return {str(file.relative_to(path).parent / source_name(file)): file for file in files}


def _is_map(path: Path) -> bool:
    # Written by `predict --probabilities --uncertainty` next to the masks.
    return path.name.endswith(("_probabilities.nii.gz", "_uncertainty.nii.gz"))
