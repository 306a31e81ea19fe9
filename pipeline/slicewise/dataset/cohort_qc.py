"""Quality control of a cohort: duplicates, outliers and an overview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slicewise.config import DataSection
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import listed
from slicewise.dataset.patients import LikelyPatients, likely_patients
from slicewise.quantities import millilitres

FEWEST_CASES = 5
"""Minimum number of cases to detect outliers."""
ROBUST_Z = 3.5
"""Threshold of outliers (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)."""
COMMON_FRACTION = 0.8
"""Minimum fraction of similar cases; with fewer, there are several kinds of scans."""
_MAD_TO_DEVIATION = 1.4826
_WHOLE_FROM = 999.5
_AXES = ("R-L", "A-P", "I-S")


@dataclass(frozen=True)
class Measure:
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


@dataclass(frozen=True)
class Overview:
    """Summary of a data set.

    Attributes:
        cases: number of cases.
        patients: number of patients.
        labelled: cases with a label map.
        empty_labels: label maps without any structure.
        unusable: cases with problems.
        contrasts: names, in the order of the channels.
        shared_patients: cases of each patient with several.
        duplicates: cases with equal voxels.
        measures: quantities by which cases were compared.
        notes: about the data set as a whole.
    """

    cases: int
    patients: int
    labelled: int
    empty_labels: int
    unusable: int
    contrasts: tuple[str, ...]
    shared_patients: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, ...], ...]
    measures: tuple[Measure, ...]
    notes: tuple[str, ...]


def compare(cases: Sequence[CheckedCase], data: DataSection) -> Overview:
    """Add notes about duplicates and outliers to the cases, and summarise the data set."""
    duplicates = _mark_duplicates(cases)
    measures = tuple(_measures(cases, data))
    notes = []
    if kinds := [*_note_outliers(cases, measures), *_note_rarities(cases, data)]:
        notes.append(f"there are several kinds of scans: {'; '.join(kinds)}")
    if likely := unnamed_patients(cases, data):
        notes.append(likely.advice)
    if unused := unused_labels(cases, data):
        notes.append(f"the label values {unused} of data.labels do not occur")
    return Overview(
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        labelled=sum(case.labelled for case in cases),
        empty_labels=sum(bool(case.label_digest) and not case.structures for case in cases),
        unusable=sum(bool(case.problems) for case in cases),
        contrasts=data.contrasts,
        shared_patients=tuple(_shared_patients(cases)),
        duplicates=duplicates,
        measures=measures,
        notes=tuple(notes),
    )


def unnamed_patients(cases: Sequence[CheckedCase], data: DataSection) -> LikelyPatients | None:
    """Cases that seem to share a patient, if patients are not configured.

    Cases without a label are ignored if others have one, because they are not used.
    """
    cases = [case for case in cases if case.labelled] or cases
    if data.patient_pattern is not None or any(case.patient != case.name for case in cases):
        return None
    return likely_patients(
        [case.name for case in cases], {case.name: case.intensity_step for case in cases}
    )


def rounded(value: float) -> str:
    """Three significant digits, or all integer digits."""
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.3g}"


def unused_labels(cases: Iterable[CheckedCase], data: DataSection) -> list[int]:
    """Configured label values that no case has."""
    present = {value for case in cases for value in case.structures}
    return sorted(set(data.labels.values()) - present)


def patient_numbers(cases: Iterable[CheckedCase]) -> dict[str, int]:
    """Anonymous number of the patient by case name."""
    numbers: dict[str, int] = {}
    return {case.name: numbers.setdefault(case.patient, len(numbers) + 1) for case in cases}


def _mark_duplicates(cases: Iterable[CheckedCase]) -> tuple[tuple[str, ...], ...]:
    """Add a problem to duplicates.

    Duplicates without a label are ignored if another one has a label.
    """
    by_digest: dict[str, list[CheckedCase]] = {}
    for case in cases:
        if case.digest:
            by_digest.setdefault(case.digest, []).append(case)
    counting = ([case for case in same if case.labelled] or same for same in by_digest.values())
    duplicates = [same for same in counting if len(same) > 1]
    for same in duplicates:
        for case in same:
            others = [other for other in same if other is not case]
            named = listed((other.name for other in others), most=4)
            differ = any(other.label_digest != case.label_digest for other in others)
            label = ", with another label" if differ else ""
            case.problems.append(f"the same voxels as {named}{label}; remove all but one")
    return tuple(tuple(case.name for case in same) for same in duplicates)


def _shared_patients(cases: Iterable[CheckedCase]) -> Iterator[tuple[str, ...]]:
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, []).append(case.name)
    return (tuple(names) for names in by_patient.values() if len(names) > 1)


def _measures(cases: Sequence[CheckedCase], data: DataSection) -> Iterator[Measure]:
    read = [case for case in cases if case.shape]
    for number, axis in enumerate(_AXES):
        spacing = {case.name: case.spacing_mm[_stored_axis(case, number)] for case in read}
        yield Measure(f"spacing {axis}", "mm", spacing, least_deviation=0.02)
    for number, axis in enumerate(_AXES):
        sizes = {case.name: float(case.shape[_stored_axis(case, number)]) for case in read}
        yield Measure(f"voxels {axis}", "", sizes, least_deviation=0.05)
    for contrast in data.contrasts:
        scales = {
            case.name: case.intensities[contrast].scale
            for case in read
            if contrast in case.intensities and case.intensities[contrast].scale > 0
        }
        name = "intensity range" if len(data.contrasts) == 1 else f"intensity range of {contrast}"
        yield Measure(name, "", scales, least_deviation=0.1)
    for value, name in _structure_names(read, data).items():
        volumes = {
            case.name: case.structures[value] for case in read if case.structures.get(value, 0) > 0
        }
        yield Measure(f"volume of {name}", "ml", volumes, least_deviation=0.1)


def _stored_axis(case: CheckedCase, axis: int) -> int:
    """Stored axis along R-L, A-P or I-S."""
    letters = ("RL", "AP", "IS")[axis]
    return next(place for place, letter in enumerate(case.orientation) if letter in letters)


def _structure_names(cases: Iterable[CheckedCase], data: DataSection) -> dict[int, str]:
    named = {value: name for name, value in data.labels.items()}
    present = sorted({value for case in cases for value in case.structures})
    return {value: named.get(value, f"label {value}") for value in present}


def _note_outliers(cases: Iterable[CheckedCase], measures: Iterable[Measure]) -> Iterator[str]:
    """Add notes to outliers; yield quantities that differ in too many cases."""
    by_name = {case.name: case for case in cases}
    for measure in measures:
        if len(measure.values) < FEWEST_CASES:
            continue
        far = {name: z for name, z in measure.robust_z().items() if abs(z) > ROBUST_Z}
        middle = f"median {measure.shown(measure.median)}"
        if len(far) > (1 - COMMON_FRACTION) * len(measure.values):
            yield f"{measure.name} ({len(far)} of {len(measure.values)} far from the {middle})"
            continue
        for name, z in far.items():
            value = measure.shown(measure.values[name])
            by_name[name].notes.append(f"{measure.name} {value}, {middle} (robust z {z:+.1f})")


def _note_rarities(cases: Sequence[CheckedCase], data: DataSection) -> Iterator[str]:
    """Add notes about rare orientations and missing structures; yield if there is no common one."""
    read = [case for case in cases if case.shape]
    if len(read) >= FEWEST_CASES:
        axes = Counter(case.orientation for case in read)
        usual, count = axes.most_common(1)[0]
        if count < COMMON_FRACTION * len(read):
            yield f"axes ({_counted(axes)})"
        else:
            for case in read:
                if case.orientation != usual:
                    text = f"axes {case.orientation}, {count} of {len(read)} scans have {usual}"
                    case.notes.append(text)
    _note_missing_structures([case for case in read if case.structures], data)


def _note_missing_structures(cases: Sequence[CheckedCase], data: DataSection) -> None:
    if len(cases) < FEWEST_CASES:
        return
    for value, name in _structure_names(cases, data).items():
        count = sum(value in case.structures for case in cases)
        if count < COMMON_FRACTION * len(cases):
            continue
        for case in cases:
            if value not in case.structures:
                case.notes.append(f"no {name}, {count} of {len(cases)} labels have it")


def _counted(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} x {name}" for name, count in ranked)
