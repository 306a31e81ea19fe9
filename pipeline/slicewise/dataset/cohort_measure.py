"""Quantities by which the cases of a data set are compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase
from slicewise.quantities import millilitres

_MAD_TO_DEVIATION = 1.4826
_WHOLE_FROM = 999.5
_AXES = ("R-L", "A-P", "I-S")


@dataclass(frozen=True)
class CohortMeasure:
    """A quantity of all cases, compared on a logarithmic scale.

    Attributes:
        name: of the quantity.
        unit: of the values; may be empty.
        values: positive value by case name.
        least_deviation: lower bound of the standard deviation of the logarithm, so that small
            differences in a uniform data set are not outliers.
    """

    name: str
    unit: str
    values: dict[str, float]
    least_deviation: float

    @property
    def median(self) -> float:
        """Median of the values."""
        return float(np.median(list(self.values.values())))

    @property
    def is_uniform(self) -> bool:
        """Whether all values are equal within rounding errors."""
        return max(self.values.values()) <= min(self.values.values()) * (1 + 1e-6)

    def robust_z(self) -> dict[str, float]:
        """Robust z-score by case name, with the standard deviation estimated by the MAD."""
        logarithms = np.log(list(self.values.values()))
        difference = logarithms - np.median(logarithms)
        deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(difference)))
        scores = difference / max(deviation, self.least_deviation)
        return dict(zip(self.values, scores.tolist(), strict=True))

    def shown(self, value: float) -> str:
        """A value with its unit."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def number(self, value: float) -> str:
        """A value without its unit."""
        return millilitres(value) if self.unit == "ml" else rounded(value)


def rounded(value: float) -> str:
    """Three significant digits, or all integer digits."""
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.3g}"


def cohort_measures(cases: Sequence[CheckedCase], data: DataSection) -> Iterator[CohortMeasure]:
    """The quantities of the cases that could be read."""
    read = [case for case in cases if case.shape]
    measured = [case for case in read if case.spacing_is_known]
    for number, axis in enumerate(_AXES):
        spacing = {case.name: case.spacing_mm[_stored_axis(case, number)] for case in measured}
        yield CohortMeasure(f"spacing {axis}", "mm", spacing, least_deviation=0.02)
    for number, axis in enumerate(_AXES):
        sizes = {case.name: float(case.shape[_stored_axis(case, number)]) for case in read}
        yield CohortMeasure(f"voxels {axis}", "", sizes, least_deviation=0.05)
    for contrast in data.contrasts:
        scales = {
            case.name: case.intensities[contrast].scale
            for case in read
            if contrast in case.intensities and case.intensities[contrast].scale > 0
        }
        name = "intensity range" if len(data.contrasts) == 1 else f"intensity range of {contrast}"
        yield CohortMeasure(name, "", scales, least_deviation=0.1)
    for value, name in structure_names(read, data).items():
        for what, unit, of_unit in (
            ("volume", "ml", measured),
            ("area", "px", [case for case in read if not case.spacing_is_known]),
        ):
            sizes = {
                case.name: size for case in of_unit if (size := case.structures.get(value, 0)) > 0
            }
            if sizes or (what == "volume" and measured):
                yield CohortMeasure(f"{what} of {name}", unit, sizes, least_deviation=0.1)


def _stored_axis(case: CheckedCase, axis: int) -> int:
    """Stored axis along R-L, A-P or I-S."""
    letters = ("RL", "AP", "IS")[axis]
    return next(place for place, letter in enumerate(case.orientation) if letter in letters)


def structure_names(cases: Iterable[CheckedCase], data: DataSection) -> dict[int, str]:
    """Names of the label values that occur."""
    named = {value: name for name, value in data.labels.items()}
    present = sorted({value for case in cases for value in case.structures})
    return {value: named.get(value, f"label {value}") for value in present}
