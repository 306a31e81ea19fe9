"""Measures the labelled cases of a catalogue in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure, label

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase, Intensities, examine
from slicewise.dataset.catalogue import Case, Catalogue
from slicewise.dataset.workers import Workers, run_on_scans
from slicewise.errors import ScanError
from slicewise.imaging.volume import SAME_GRID_VOXELS, Volume
from slicewise.planning.fingerprint import CaseFingerprint, ContrastFacts, StructureFacts

MIN_COMPONENT_VOXELS = 5
"""Smaller connected components are taken for annotation errors and not counted."""
_DARK_TENTH = 0.1
_MAX_SAMPLED = 2**18


@dataclass(frozen=True)
class MeasuredCase:
    """Check and fingerprint of one case.

    Attributes:
        checked: findings of the data check; a case with problems cannot be used.
        fingerprint: None if the case cannot be used.
    """

    checked: CheckedCase
    fingerprint: CaseFingerprint | None = None


@dataclass(frozen=True)
class _Task:
    case: Case
    config: Config

    @property
    def name(self) -> str:
        return self.case.name


def measure_cases(catalogue: Catalogue, config: Config, workers: Workers) -> Iterator[MeasuredCase]:
    """Read every labelled case completely; yields each as soon as it is measured."""
    tasks = [_Task(case, config) for case in catalogue.labelled]
    for task, result in run_on_scans(_measure_case, tasks, workers):
        if isinstance(result, ScanError):
            checked = CheckedCase(task.name, task.case.patient, labelled=True)
            checked.problems.append(result.reason)
            yield MeasuredCase(checked)
        else:
            yield result


def _measure_case(task: _Task) -> MeasuredCase:
    examined = examine(task.case, task.config)
    checked, image, labels = examined.case, examined.image, examined.label
    if checked.problems or image is None or labels is None:
        return MeasuredCase(checked)
    upright = labels.reoriented("RAS")
    named = zip(task.config.data.contrasts, examined.volumes, strict=True)
    volumes = {name: volume for name, volume in named if volume is not None}
    fingerprint = CaseFingerprint(
        name=checked.name,
        patient=checked.patient,
        shape=upright.shape,
        spacing_mm=upright.spacing_mm,
        orientation=checked.orientation,
        contrasts={
            name: _contrast_facts(volume, checked.intensities[name])
            for name, volume in volumes.items()
        },
        structures={
            value: _structure_facts(upright.voxels == value, upright.spacing_mm)
            for value in checked.structures
        },
        extent_mm=_extent_mm(upright.voxels != 0, upright.spacing_mm),
        shared_slices=_shared_slices(upright.voxels),
        spacing_is_known=image.spacing_is_known,
        is_on_common_grid=all(_is_on_grid(volume, image) for volume in volumes.values()),
    )
    return MeasuredCase(checked, fingerprint)


def _is_on_grid(volume: Volume, first: Volume) -> bool:
    turned = volume.reoriented(first.orientation)
    return first.grid_difference_voxels(turned) <= SAME_GRID_VOXELS


def _contrast_facts(volume: Volume, intensities: Intensities) -> ContrastFacts:
    voxels = volume.voxels
    dark = intensities.low + _DARK_TENTH * (intensities.high - intensities.low)
    sampled = voxels.ravel()[:: -(-voxels.size // _MAX_SAMPLED)]
    return ContrastFacts(
        intensities,
        zero_fraction=1 - np.count_nonzero(voxels) / voxels.size,
        dark_fraction=float(np.count_nonzero(voxels <= dark) / voxels.size),
        distinct_values=len(np.unique(sampled)),
    )


def _structure_facts(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> StructureFacts:
    (box,) = find_objects(mask.astype(np.uint8))
    inside = mask[box]
    components, _ = label(inside, generate_binary_structure(rank=3, connectivity=3))
    sizes = np.bincount(components[inside])[1:]
    count = max(1, int(np.count_nonzero(sizes >= MIN_COMPONENT_VOXELS)))
    return StructureFacts(int(sizes.sum()), _box_mm(box, spacing_mm), count)


def _extent_mm(
    mask: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Size of the bounding box of a mask (X, Y, Z); 0 for an empty mask."""
    boxes = find_objects(mask.astype(np.uint8))
    return _box_mm(boxes[0], spacing_mm) if boxes else (0.0, 0.0, 0.0)


def _shared_slices(label_map: NDArray[Any]) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Pair of adjacent values to the number of slices along each axis that hold both."""
    touching = sorted(_touching(label_map))
    held = {value: _slices_with(label_map, value) for value in set(chain.from_iterable(touching))}
    found = {}
    for one, other in touching:
        both = (ours & theirs for ours, theirs in zip(held[one], held[other], strict=True))
        right, front, up = (int(np.count_nonzero(slices)) for slices in both)
        found[int(one), int(other)] = (right, front, up)
    return found


def _touching(label_map: NDArray[Any]) -> set[tuple[Any, Any]]:
    """Sorted pairs of values whose voxels share a face, without background."""
    pairs = set()
    for axis in range(3):
        along = np.moveaxis(label_map, axis, 0)
        before, after = along[:-1], along[1:]
        border = (before != after) & (before != 0) & (after != 0)
        ordered = np.sort(np.stack([before[border], after[border]]), axis=0)  # (2, N)
        pairs |= set(zip(*np.unique(ordered, axis=1), strict=True))
    return pairs


def _slices_with(label_map: NDArray[Any], value: Any) -> list[NDArray[np.bool_]]:
    """Which slices along each axis hold a value."""
    mask = label_map == value
    return [mask.any(tuple({0, 1, 2} - {axis})) for axis in range(3)]


def _box_mm(box: Any, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
    right, front, up = (
        (side.stop - side.start) * step for side, step in zip(box, spacing_mm, strict=True)
    )
    return right, front, up
