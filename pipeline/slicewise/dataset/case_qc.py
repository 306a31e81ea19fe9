"""Quality control of single cases: geometry, intensities, labels and errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from slicewise.config import Config
from slicewise.dataset.catalogue import Case
from slicewise.dataset.contrasts import on_one_grid, read_each
from slicewise.dataset.patients import intensity_step
from slicewise.dataset.plane import PLANES, slice_axis
from slicewise.errors import GeometryError, ScanError
from slicewise.imaging.labels import structure_volumes_ml
from slicewise.imaging.scan import read_label
from slicewise.imaging.volume import Volume

PERCENTILES = (1.0, 50.0, 99.0)


@dataclass(frozen=True)
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


@dataclass
class CheckedCase:
    """Results of the data check for a case.

    Attributes:
        name: of the case.
        patient: of the case; possibly a hospital number, so it must not be shown.
        shape: voxels along each axis, as stored.
        spacing_mm: along each axis.
        orientation: of the axes, such as RAS.
        plane: of the slices.
        intensities: of each contrast.
        labelled: whether there is a label map.
        structures: volume of each label value in ml.
        problems: reasons why the case cannot be used.
        warnings: about the case itself.
        notes: differences from the other cases.
        digest: of the voxels of all contrasts, to detect duplicates.
        label_digest: of the label map.
        intensity_step: smallest difference of two intensities of the first contrast.
    """

    name: str
    patient: str
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    orientation: str = ""
    plane: str = ""
    intensities: dict[str, Intensities] = field(default_factory=dict)
    labelled: bool = False
    structures: dict[int, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    digest: str = ""
    label_digest: str = ""
    intensity_step: float = 0.0


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
        image = volumes[0]
        assert image is not None, "the first contrast gives the grid"
        _describe(image, volumes, config, checked)
        if case.label is not None:
            label = read_label(case.label, image, config.reading, config.data.labels)
            _check_label(label, config, checked)
    except ScanError as error:
        checked.problems.append(error.reason)
    return Examined(checked, volumes, label)


def _describe(
    first: Volume, volumes: Sequence[Volume | None], config: Config, checked: CheckedCase
) -> None:
    checked.shape, checked.spacing_mm = first.shape, first.spacing_mm
    checked.orientation = first.orientation
    checked.plane = PLANES[slice_axis(first, config.preprocessing)]
    present = [volume for volume in volumes if volume is not None]
    checked.digest = _digest(present)
    checked.intensity_step = intensity_step(first.voxels)
    checked.warnings += [text for volume in present for text in volume.warnings]
    for contrast, volume in zip(config.data.contrasts, volumes, strict=True):
        which = f"{contrast}: " if len(volumes) > 1 else ""
        if volume is not None:
            _check_intensities(volume, which, contrast, checked)
    _check_grids(volumes, config, checked)


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


def _digest(volumes: Sequence[Volume]) -> str:
    """Checksum of the voxels in RAS order, independent of data type and storage order."""
    digest = hashlib.sha256()
    for volume in volumes:
        upright = volume.reoriented("RAS")
        digest.update(repr(upright.shape).encode())
        with np.errstate(over="ignore"):
            digest.update(np.ascontiguousarray(upright.voxels, dtype=np.float32).data)
    return digest.hexdigest()


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


def _check_label(label: Volume, config: Config, checked: CheckedCase) -> None:
    checked.warnings += [f"label: {text}" for text in label.warnings]
    checked.label_digest = _digest([label])
    checked.structures = structure_volumes_ml(label)
    if not checked.structures:
        checked.warnings.append("the label is empty")
    names = config.data.labels
    unnamed = sorted(set(checked.structures) - set(names.values()))
    if names and unnamed:
        checked.problems.append(f"label values {unnamed} are not in data.labels")
