"""Measured cases in, the figures of a data set that a plan follows from out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from slicewise.config import DataSection
from slicewise.dataset.case_qc import Intensities
from slicewise.dataset.catalogue import patient_of
from slicewise.dataset.cohort_qc import Overview
from slicewise.dataset.patients import LikelyPatients


@dataclass(frozen=True)
class StructureFacts:
    """One structure in one case.

    Attributes:
        voxels: that it fills.
        extent_mm: of the box around it, to the right, to the front and upwards.
        pieces: that are connected by faces, edges or corners; specks are left out.
    """

    voxels: int
    extent_mm: tuple[float, float, float]
    pieces: int


@dataclass(frozen=True)
class ContrastFacts:
    """The grey values of one contrast of one case.

    Attributes:
        intensities: extremes and percentiles.
        zero_share: share of the voxels that are exactly 0.
        dark_share: share of the voxels in the lowest tenth of the range, as air is.
        distinct_values: how many different ones there are, up to a few hundred.
    """

    intensities: Intensities
    zero_share: float
    dark_share: float
    distinct_values: int


@dataclass(frozen=True)
class CaseFingerprint:
    """One case, its axes in the order right, front, up.

    Attributes:
        name: of the case.
        patient: of the case; is counted and never shown.
        shape: voxels along each axis.
        spacing_mm: along each axis.
        orientation: of the axes as they are stored.
        contrasts: name to its grey values.
        structures: label value to what was measured; none of an empty label.
        extent_mm: of the box around all structures together.
        shared_slices: two label values that touch to the slices that hold both, across each axis.
        is_on_one_grid: whether all contrasts have the same voxels.
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
    is_on_one_grid: bool = True

    @property
    def voxels(self) -> int:
        """Of one contrast."""
        return int(np.prod(self.shape))

    @property
    def anisotropy(self) -> float:
        """Thickest spacing over the thinnest."""
        return max(self.spacing_mm) / min(self.spacing_mm)


@dataclass(frozen=True)
class Fingerprint:
    """A data set in figures.

    Attributes:
        cases: that have a label and can be used.
        contrasts: in the order of the channels.
        labels: structure name to value, of those that occur.
        likely: scans that seem to share a patient, where nothing told who the patients are.
        overview: of the doctor, who compared the cases.
    """

    cases: tuple[CaseFingerprint, ...]
    contrasts: tuple[str, ...]
    labels: dict[str, int]
    likely: LikelyPatients | None
    overview: Overview

    @property
    def patients(self) -> int:
        """Whom the cases belong to, as far as that shows."""
        return len({self.patient_of(case) for case in self.cases})

    def patient_of(self, case: CaseFingerprint) -> str:
        """Whose case it is, or seems to be."""
        if self.likely is None:
            return case.patient
        pattern, scans = self.likely.pattern, self.likely.scans_per_patient
        return patient_of(case.name, DataSection(patient_pattern=pattern, scans_per_patient=scans))

    @property
    def labelled(self) -> tuple[CaseFingerprint, ...]:
        """The cases whose label is not empty."""
        return tuple(case for case in self.cases if case.structures)

    def median(self, figure: Callable[[CaseFingerprint], float]) -> float:
        """Median of a figure over the cases."""
        return float(np.median([figure(case) for case in self.cases]))

    def percentile(self, percent: float, figure: Callable[[CaseFingerprint], float]) -> float:
        """Percentile of a figure over the cases."""
        return float(np.percentile([figure(case) for case in self.cases], percent))

    def of_structure(self, value: int) -> list[StructureFacts]:
        """What was measured of one structure, in the cases that have it."""
        return [case.structures[value] for case in self.cases if value in case.structures]


def median_triple(
    cases: Iterable[CaseFingerprint],
    figure: Callable[[CaseFingerprint], tuple[float, float, float]],
) -> tuple[float, float, float]:
    """Median of a figure along each axis."""
    right, front, up = np.median([figure(case) for case in cases], axis=0)
    return float(right), float(front), float(up)
