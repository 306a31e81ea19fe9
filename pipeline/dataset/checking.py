"""A catalogue in, what is there and what is wrong with it out, case by case."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.config import DataSection
from pipeline.dataset.catalogue import Case, Catalogue
from pipeline.errors import SlicewiseError
from pipeline.imaging.labels import INTEGER_TOLERANCE, whole_numbers
from pipeline.imaging.scan import read_scan
from pipeline.imaging.volume import Volume, require_same_grid


@dataclass
class CheckedCase:
    """What the check found out about a case.

    Attributes:
        name: of the case.
        patient: of the case.
        shape: voxels along each axis.
        spacing_mm: along each axis.
        orientation: of the axes, such as RAS.
        intensities: smallest and largest.
        structures: label value to its volume in ml.
        problems: reasons why the case cannot be used.
        warnings: what was noticed.
        digest: of the voxels, to find the same scan under two names.
    """

    name: str
    patient: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    intensities: tuple[float, float] | None = None
    structures: dict[int, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digest: str = ""


def check_cases(catalogue: Catalogue, data: DataSection) -> Iterator[CheckedCase]:
    """Read every case to its last voxel; yields each when it is done."""
    for case in catalogue.cases:
        checked = CheckedCase(case.name, case.patient)
        try:
            _check_case(case, data, checked)
        except SlicewiseError as error:
            checked.problems.append(error.reason)
        yield checked


def mark_duplicates(cases: Sequence[CheckedCase]) -> None:
    """Add a problem to every case whose voxels another case has as well."""
    by_digest: dict[str, list[CheckedCase]] = {}
    for case in cases:
        if case.digest:
            by_digest.setdefault(case.digest, []).append(case)
    for same in by_digest.values():
        for case in same:
            others = ", ".join(other.name for other in same if other is not case)
            if others:
                case.problems.append(f"the same voxels as {others}")


def unused_labels(cases: Iterable[CheckedCase], data: DataSection) -> list[int]:
    """Values that the config names and no case has."""
    present = {value for case in cases for value in case.structures}
    return sorted(set(data.labels.values()) - present)


def _check_case(case: Case, data: DataSection, checked: CheckedCase) -> None:
    volumes = [read_scan(source) for source in case.images]
    first = volumes[0]
    checked.shape, checked.spacing_mm = first.shape, first.spacing_mm
    checked.orientation = first.orientation
    checked.digest = hashlib.sha256(
        b"".join(np.ascontiguousarray(volume.voxels).tobytes() for volume in volumes)
    ).hexdigest()
    for volume in volumes:
        checked.warnings += volume.warnings
        _check_intensities(volume, checked)
        require_same_grid(first, volume)
    if case.label is not None:
        label = read_scan(case.label)
        _check_label(label, data, checked)
        require_same_grid(first.reoriented("RAS"), label.reoriented("RAS"))


def _check_intensities(volume: Volume, checked: CheckedCase) -> None:
    finite = np.isfinite(volume.voxels)
    if not finite.all():
        checked.problems.append(f"{int((~finite).sum())} NaN or infinite voxels")
        return
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    checked.intensities = (low, high)
    if low == high:
        checked.warnings.append(f"every voxel is {low:g}")


def _check_label(label: Volume, data: DataSection, checked: CheckedCase) -> None:
    checked.warnings += [f"label: {text}" for text in label.warnings]
    integers = whole_numbers(label.voxels, label.name)
    if (label.voxels != integers).any():
        checked.warnings.append(f"label values within {INTEGER_TOLERANCE} of whole numbers")
    values, counts = np.unique(integers[integers != 0], return_counts=True)
    checked.structures = {
        int(value): round(int(count) * label.voxel_volume_ml, 4)
        for value, count in zip(values, counts, strict=True)
    }
    if not checked.structures:
        checked.warnings.append("the label is empty")
    unnamed = sorted(set(checked.structures) - set(data.labels.values()))
    if data.labels and unnamed:
        checked.problems.append(f"label values {unnamed} are not in data.labels")
