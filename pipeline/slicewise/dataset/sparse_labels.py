"""Recognises label maps of which only some slices are labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from slicewise.imaging.volume import Volume

FEWEST_GAPS = 2
"""Minimum number of gaps; a single one may be a slice that was forgotten."""
MIN_OVERLAP = 0.5
"""Fraction of a structure that is at the same place on both sides of a gap; lesions are not."""
_MOST = 0.8
_AXES = ("R-L", "A-P", "I-S")
_LEAST_SLICES = 5
_FLATNESS = 5


@dataclass(frozen=True)
class SparseLabels:
    """Which slices of a label map are labelled.

    Attributes:
        labelled: number of slices with a label.
        slices: number of slices.
        axis: normal to the slices, such as I-S.
        pattern: such as ``every 5th slice``.
    """

    labelled: int
    slices: int
    axis: str
    pattern: str

    @property
    def text(self) -> str:
        """For the warnings of a case."""
        return (
            f"labelled on {self.labelled} of {self.slices} slices along {self.axis}, "
            f"{self.pattern}; unlabelled slices count as background"
        )


def sparse_labels(label: Volume) -> SparseLabels | None:
    """How the labelled slices are spread, if structures are interrupted between them.

    A structure is interrupted if it is at the same place before and after slices without it.
    Structures that occupy few slices, and lesions with healthy slices between them, are not.

    Args:
        label: a label map; negative values are ignored.
    """
    upright = label.reoriented("RAS")
    voxels = np.clip(upright.voxels, 0, None).astype(np.int32)
    found = [
        (axis, slices)
        for number, box in enumerate(find_objects(voxels), start=1)
        if box is not None
        for axis, slices in _interrupted(voxels[box] == number, box, upright)
    ]
    if not found:
        return None
    axis, _ = Counter(axis for axis, _ in found).most_common(1)[0]
    labelled = sorted(set().union(*(slices for one, slices in found if one == axis)))
    return SparseLabels(len(labelled), upright.shape[axis], _AXES[axis], _pattern(labelled))


def _interrupted(
    mask: NDArray[np.bool_], box: tuple[slice, ...], label: Volume
) -> Iterator[tuple[int, set[int]]]:
    """Axes along which a structure is interrupted, with its labelled slices."""
    for axis in range(3):
        along = np.moveaxis(mask, axis, 0)
        labelled = np.flatnonzero(along.any(axis=(1, 2)))
        if _has_gaps(along, labelled) or _is_single_slice(mask, axis, label):
            yield axis, {int(number) + box[axis].start for number in labelled}


def _has_gaps(along: NDArray[np.bool_], labelled: NDArray[np.intp]) -> bool:
    ends = np.flatnonzero(np.diff(labelled) > 1)
    if len(ends) < FEWEST_GAPS:
        return False
    same = 0
    for end in ends:
        before, after = along[labelled[end]], along[labelled[end + 1]]
        smaller = min(np.count_nonzero(before), np.count_nonzero(after))
        same += int(np.count_nonzero(before & after) >= MIN_OVERLAP * smaller)
    return same >= _MOST * len(ends)


def _is_single_slice(mask: NDArray[np.bool_], axis: int, label: Volume) -> bool:
    """Whether a large structure is labelled on one slice of many."""
    if mask.shape[axis] > 1 or label.shape[axis] < _LEAST_SLICES:
        return False
    spacing = label.spacing_mm
    inside = [mask.shape[other] * spacing[other] for other in range(3) if other != axis]
    return bool(min(inside) >= _FLATNESS * spacing[axis])


def _pattern(labelled: list[int]) -> str:
    if len(labelled) == 1:
        return "a single slice"
    steps = [after - before for before, after in pairwise(labelled)]
    between = [step for step in steps if step > 1] or steps
    step, count = Counter(between).most_common(1)[0]
    if count < _MOST * len(between):
        return f"{min(between) - 1} to {max(between) - 1} slices apart"
    if len(between) == len(steps):
        return f"every {_ordinal(step)} slice"
    return f"with {step - 1} slices left out in between"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
