"""Quality control of single cases: geometry, intensities, labels and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from slicewise.config import Config
from slicewise.dataset.catalogue import Case
from slicewise.dataset.contrasts import on_one_grid, read_each
from slicewise.dataset.fingerprints import Digests, digests, signature
from slicewise.dataset.label_likeness import looks_like_labels
from slicewise.dataset.patients import intensity_step
from slicewise.dataset.plane import PLANES, slice_axis
from slicewise.dataset.sparse_labels import SparseLabels, sparse_labels
from slicewise.errors import GeometryError, ScanError
from slicewise.imaging.labels import structure_sizes
from slicewise.imaging.scan import read_label
from slicewise.imaging.volume import Volume
from slicewise.quantities import listed, noun_for

PERCENTILES = (1.0, 50.0, 99.0)
FLAT_SLICES = "some slices between others are constant"
MAX_LABEL_VALUES = 64
"""A label map with more values is taken for an image."""


@dataclass(frozen=True, slots=True)
class Intensities:
    """Intensities of one contrast of a case.

    Attributes:
        lowest: minimum of all voxels.
        low: 1st percentile.
        median: 50th percentile.
        high: 99th percentile.
        highest: maximum of all voxels.
    """

    lowest: float
    low: float
    median: float
    high: float
    highest: float

    @property
    def scale(self) -> float:
        """Range between the percentiles, which is robust against outliers."""
        return self.high - self.low


@dataclass(slots=True)
class CheckedCase:
    """Results of the data check for a case.

    Attributes:
        name: of the case.
        patient: of the case; possibly a hospital number, so it must not be shown.
        shape: voxels along each axis, as stored.
        spacing_mm: along each axis.
        spacing_is_known: whether sizes are in millimetres; else in pixels.
        orientation: of the axes, such as RAS.
        plane: of the slices.
        intensities: of each contrast.
        labelled: whether there is a label map.
        structures: volume of each label value in ml, or pixels if the spacing is unknown.
        problems: reasons why the case cannot be used.
        warnings: about the case itself.
        notes: differences from the other cases.
        digests: of the voxels of each contrast, to detect duplicates.
        label_digest: of the label map.
        intensity_step: smallest difference of two intensities of the first contrast.
        signature: coarse structure of the first contrast, to detect scans of one person.
        like_labels: contrasts that look like label maps.
        sparse_labels: which slices are labelled, if structures are interrupted between them.
    """

    name: str
    patient: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    spacing_is_known: bool = True
    orientation: str = ""
    plane: str = ""
    intensities: dict[str, Intensities] = field(default_factory=dict)
    labelled: bool = False
    structures: dict[int, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    digests: dict[str, Digests] = field(default_factory=dict)
    label_digest: str = ""
    intensity_step: float = 0.0
    signature: str = ""
    like_labels: tuple[str, ...] = ()
    sparse_labels: SparseLabels | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything but name and patient, which do not follow from the voxels."""
        return {key: value for key, value in asdict(self).items() if key not in _NAMES}


_NAMES = ("name", "patient")


@dataclass(frozen=True)
class Examined:
    """A checked case with its volumes, if they could be read.

    Attributes:
        case: results.
        volumes: one per contrast, each on its own grid; None if missing.
        label: the label map, on the grid of the first contrast.
    """

    case: CheckedCase
    volumes: Sequence[Volume | None] = ()
    label: Volume | None = None

    @property
    def image(self) -> Volume | None:
        """The first contrast."""
        return self.volumes[0] if self.volumes else None


def examine(case: Case, config: Config) -> Examined:
    """Read and check a case; errors are among its problems."""
    checked = CheckedCase(case.name, case.patient, labelled=case.label is not None)
    volumes: Sequence[Volume | None] = ()
    label = None
    try:
        volumes = read_each(case.images, config.data.contrasts, config.reading)
        check_volumes(volumes, config, checked)
        _check_grids(volumes, config, checked)
        if case.label is not None:
            assert volumes[0] is not None
            label = read_label(case.label, volumes[0], config.reading, config.data.labels)
            check_label(label, config, checked)
    except ScanError as error:
        checked.problems.append(error.reason)
    return Examined(checked, volumes, label)


def check_volumes(volumes: Sequence[Volume | None], config: Config, checked: CheckedCase) -> None:
    """Check the contrasts of a case.

    Args:
        volumes: one per contrast, each on its own grid; None if missing.
        config: of the data set.
        checked: receives the results.
    """
    first = volumes[0]
    assert first is not None, "the first contrast gives the grid"
    checked.shape, checked.spacing_mm = first.shape, first.spacing_mm
    checked.spacing_is_known = first.spacing_is_known
    checked.orientation = first.orientation
    axis = slice_axis(first, config.preprocessing)
    checked.plane = PLANES[axis]
    checked.intensity_step = intensity_step(first.voxels)
    checked.signature = signature(first)
    for contrast, volume in zip(config.data.contrasts, volumes, strict=True):
        which = f"{contrast}: " if len(volumes) > 1 else ""
        if volume is not None:
            checked.warnings += volume.warnings
            checked.digests[contrast] = digests(volume)
            if looks_like_labels(volume):
                checked.like_labels += (contrast,)
            _check_intensities(volume, which, contrast, checked)
            if _has_flat_slices(volume, axis):
                checked.warnings.append(f"{which}{FLAT_SLICES}")
    _check_copies(checked)


def _check_copies(checked: CheckedCase) -> None:
    """Check whether two contrasts of a case are the same file."""
    seen: dict[str, str] = {}
    for contrast, found in checked.digests.items():
        other = seen.setdefault(found.voxels, contrast)
        if other != contrast:
            checked.warnings.append(f"{other} and {contrast} have the same voxels")


def _check_grids(volumes: Sequence[Volume | None], config: Config, checked: CheckedCase) -> None:
    """Check whether each contrast can be brought onto the grid of the first."""
    names = config.data.contrasts
    for name, volume in list(zip(names, volumes, strict=True))[1:]:
        try:
            _, placed = on_one_grid((volumes[0], volume), (names[0], name), config.reading)
        except GeometryError as error:
            checked.problems.append(f"{name}: {error.reason}; {error.remedy}")
        else:
            checked.warnings += placed.warnings[len(volume.warnings) if volume else 0 :]


def _check_intensities(volume: Volume, which: str, contrast: str, checked: CheckedCase) -> None:
    voxels = volume.voxels
    broken = int(voxels.size - np.count_nonzero(np.isfinite(voxels)))
    if broken:
        text = f"{which}{broken} NaN or infinite voxels; replace them with reading.non_finite: zero"
        checked.problems.append(text)
        return
    low, median, high = (float(value) for value in np.percentile(voxels, PERCENTILES))
    found = Intensities(float(voxels.min()), low, median, high, float(voxels.max()))
    checked.intensities[contrast] = found
    if found.lowest == found.highest:
        checked.warnings.append(f"{which}every voxel has the value {found.lowest:g}")


def _has_flat_slices(volume: Volume, axis: int) -> bool:
    """Whether slices between others are constant; those at the ends may be padding."""
    others = tuple({0, 1, 2} - {axis})
    varying = np.flatnonzero(volume.voxels.max(axis=others) > volume.voxels.min(axis=others))
    return bool(len(varying)) and len(varying) < varying[-1] - varying[0] + 1


def check_label(label: Volume, config: Config, checked: CheckedCase) -> None:
    """Check the label map of a case; ``checked`` receives the results."""
    checked.warnings += [f"label: {text}" for text in label.warnings]
    checked.label_digest = digests(label).voxels
    checked.structures = structure_sizes(label)
    if not checked.structures:
        checked.warnings.append("the label is empty")
    if len(checked.structures) > MAX_LABEL_VALUES:
        count = len(checked.structures)
        checked.problems.append(f"the label map has {count} different values, like an image")
    elif negative := [value for value in checked.structures if value < 0]:
        checked.problems.append(
            "the label map has negative values: " + listed(map(str, negative), 4)
        )
    else:
        checked.sparse_labels = sparse_labels(label)
    if checked.sparse_labels is not None:
        checked.warnings.append(checked.sparse_labels.text)
    names = config.data.labels
    unnamed = sorted(set(checked.structures) - set(names.values()))
    if names and unnamed:
        values = ", ".join(map(str, unnamed))
        verb = "is" if len(unnamed) == 1 else "are"
        checked.problems.append(
            f"label {noun_for(len(unnamed), 'value')} {values} {verb} not in data.labels"
        )
