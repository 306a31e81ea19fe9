"""The fingerprint of a data set: the measurements that a plan is derived from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from slicewise.dataset.case_qc import Intensities
from slicewise.dataset.cohort_qc import Overview
from slicewise.dataset.patients import LikelyPatients


@dataclass(frozen=True)
class StructureFacts:
    """Size and number of components of one structure in one case.

    Attributes:
        voxels: number of voxels.
        extent_mm: size of its bounding box along the right, anterior and superior axes.
        components: connected components (26 neighbours); components of a few voxels are ignored.
    """

    voxels: int
    extent_mm: tuple[float, float, float]
    components: int


@dataclass(frozen=True)
class ContrastFacts:
    """Intensity statistics of one contrast of one case.

    Attributes:
        intensities: extremes and percentiles.
        zero_fraction: fraction of voxels that are exactly 0.
        dark_fraction: fraction of voxels in the lowest tenth of the intensity range, such as air.
        distinct_values: number of different values in a sample of the voxels.
    """

    intensities: Intensities
    zero_fraction: float
    dark_fraction: float
    distinct_values: int


@dataclass(frozen=True)
class CaseFingerprint:
    """The measurements of one case; axes are in RAS order.

    Attributes:
        name: of the case.
        patient: of the case; counted, never shown.
        shape: voxels along each axis.
        spacing_mm: along each axis.
        orientation: axis codes as stored, such as LPS.
        contrasts: name to intensity statistics.
        structures: label value to its measurements; empty for an empty label map.
        extent_mm: size of the bounding box around all structures.
        shared_slices: pair of adjacent label values to the number of slices that hold both, along
            each axis.
        is_on_common_grid: whether all contrasts share one voxel grid.
        spacing_is_known: whether sizes are in millimetres; else in pixels.
    """

    name: str
    patient: str
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    contrasts: dict[str, ContrastFacts]
    structures: dict[int, StructureFacts]
    extent_mm: tuple[float, float, float]
    shared_slices: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    is_on_common_grid: bool = True
    spacing_is_known: bool = True

    @property
    def voxels(self) -> int:
        """Number of voxels of one contrast."""
        return int(np.prod(self.shape))

    @property
    def anisotropy(self) -> float:
        """Largest spacing divided by the smallest."""
        return max(self.spacing_mm) / min(self.spacing_mm)


@dataclass(frozen=True)
class Fingerprint:
    """The measurements of a data set.

    Attributes:
        cases: usable cases with a label map.
        contrasts: in the order of the input channels.
        labels: structure name to label value, of the values that occur.
        likely_patients: how scans seem to share patients, where the data set does not say it.
        overview: cohort statistics of the data check.
    """

    cases: tuple[CaseFingerprint, ...]
    contrasts: tuple[str, ...]
    labels: dict[str, int]
    likely_patients: LikelyPatients | None
    overview: Overview

    @property
    def patients(self) -> int:
        """Number of patients, known or inferred."""
        return len({self.patient_of(case) for case in self.cases})

    def patient_of(self, case: CaseFingerprint) -> str:
        """The patient of a case, known or inferred."""
        if self.likely_patients is None:
            return case.patient
        return self.likely_patients.patient_of(case.name)

    @property
    def spacing_is_known(self) -> bool:
        """Whether sizes are in millimetres; else those of all cases are in pixels."""
        return any(case.spacing_is_known for case in self.cases)

    @property
    def labelled(self) -> tuple[CaseFingerprint, ...]:
        """The cases whose label map is not empty."""
        return tuple(case for case in self.cases if case.structures)

    def median(self, figure: Callable[[CaseFingerprint], float]) -> float:
        """Median of a figure over the cases."""
        return float(np.median([figure(case) for case in self.cases]))

    def percentile(self, percent: float, figure: Callable[[CaseFingerprint], float]) -> float:
        """Percentile of a figure over the cases."""
        return float(np.percentile([figure(case) for case in self.cases], percent))

    def of_structure(self, value: int) -> list[StructureFacts]:
        """Measurements of one structure in the cases that have it."""
        return [case.structures[value] for case in self.cases if value in case.structures]
