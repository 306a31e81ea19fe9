"""Two places of masks in, pairs of prediction and reference out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.dataset.catalogue import label_name
from pipeline.errors import DataError, ScanError
from pipeline.imaging.nifti.reading import is_nifti, read_nifti, stem


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
        return Pairing([Pair(stem(references), predictions, references)], [], [])
    theirs = {label_name(name, ours): path for name, path in theirs.items()}
    pairs = [Pair(name, ours[name], theirs[name]) for name in sorted(ours.keys() & theirs.keys())]
    if not pairs:
        raise DataError(
            references,
            expected=f"names as in {predictions}: {', '.join(list(ours)[:3])}",
            found=", ".join(list(theirs)[:3]) or "none",
            remedy="give the folders so that the names of the files agree",
        )
    return Pairing(pairs, sorted(ours.keys() - theirs.keys()), sorted(theirs.keys() - ours.keys()))


def label_values(pairs: Iterable[Pair]) -> list[int]:
    """Values above 0 that occur in predictions or references, ascending.

    A file that cannot be read, and voxels that are no numbers, have no label; scoring names them.
    """
    values: set[int] = set()
    for pair in pairs:
        for path in (pair.predicted, pair.reference):
            try:
                voxels = read_nifti(path).voxels
            except ScanError:
                continue
            values |= {int(value) for value in np.unique(np.rint(voxels[np.isfinite(voxels)]))}
    return sorted(values - {0})


def _masks(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {stem(path): path}
    if not path.is_dir():
        raise DataError(
            path,
            expected="a mask or a folder of masks",
            found="no such file or folder",
            remedy="correct the path",
        )
    # Masks of scans in subfolders lie in subfolders.
    files = (file for file in sorted(path.rglob("*")) if is_nifti(file))
    return {str(file.relative_to(path).parent / stem(file)): file for file in files}
