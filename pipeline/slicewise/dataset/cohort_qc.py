"""Quality control of a cohort: duplicates, outliers and an overview."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from slicewise.config import DataSection
from slicewise.dataset.case_qc import MAX_LABEL_VALUES, CheckedCase
from slicewise.dataset.cohort_measure import CohortMeasure, cohort_measures, structure_names
from slicewise.dataset.data_set_problem import DataSetProblem, missing_labels
from slicewise.dataset.duplicates import Duplicates, mark_duplicates
from slicewise.dataset.patients import LikelyPatients, likely_patients
from slicewise.dataset.twins import MOST_COMPARED, PossibleTwins, possible_twins, twins_note
from slicewise.imaging.labels import WHOLE_NUMBERS
from slicewise.quantities import counted, listed

FEWEST_CASES = 5
"""Minimum number of cases to detect outliers."""
ROBUST_Z = 3.5
"""Threshold of outliers (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)."""
COMMON_FRACTION = 0.8
"""Minimum fraction of similar cases; with fewer, there are several kinds of scans."""


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
        duplicates: cases with the same scan.
        possible_twins: cases of different patients that may be of one person.
        measures: quantities by which cases were compared.
        problems: why the data set cannot be trained on.
        notes: about the data set as a whole.
    """

    cases: int
    patients: int
    labelled: int
    empty_labels: int
    unusable: int
    contrasts: tuple[str, ...]
    shared_patients: tuple[tuple[str, ...], ...]
    duplicates: Duplicates
    possible_twins: tuple[PossibleTwins, ...]
    measures: tuple[CohortMeasure, ...]
    problems: tuple[DataSetProblem, ...]
    notes: tuple[str, ...]


def compare(
    cases: Sequence[CheckedCase], data: DataSection, *, needs_labels: bool = True
) -> Overview:
    """Compare the cases of a data set, add what is found to each, and summarise the data set.

    What is among the problems of the summary is refused by everything that trains.

    Args:
        cases: in the order of their names.
        data: options of the data set.
        needs_labels: whether it is a problem that no case has a label map.
    """
    duplicates = mark_duplicates(cases, data)
    like_labels = _mark_label_maps(cases, data)
    problems = [*duplicates.problems, *like_labels]
    labelled = [case for case in cases if case.labelled]
    if needs_labels and not labelled:
        problems.append(missing_labels([case.name for case in cases]))
    elif needs_labels and all(case.label_digest and not case.structures for case in labelled):
        problems.append(_all_empty(labelled))
    if data.patient_pattern is not None and data.folds in ("patient", "stratified"):
        problems += _only_one_patient(cases)
    measures = tuple(cohort_measures(cases, data))
    likely = unnamed_patients(cases, data)
    twins = tuple(_possible_twins(cases, duplicates, likely))
    notes = [*duplicates.notes]
    if kinds := [*_note_outliers(cases, measures), *_note_rarities(cases, data)]:
        notes.append(f"there are several kinds of scans: {'; '.join(kinds)}")
    if likely:
        notes.append(likely.advice)
    if twins:
        notes.append(twins_note(twins))
    if len(cases) > MOST_COMPARED:
        notes.append(
            f"scans of one person are not looked for by their looks: {len(cases):,} cases are too "
            f"many to compare each with each, {MOST_COMPARED:,} at most are"
        )
    if unused := unused_labels(cases, data):
        notes.append(f"no label map has {_structures(unused, data)}, which data.labels names")
    notes += _note_sparse_labels(cases)
    return Overview(
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        labelled=sum(case.labelled for case in cases),
        empty_labels=sum(bool(case.label_digest) and not case.structures for case in cases),
        unusable=sum(bool(case.problems) for case in cases),
        contrasts=data.contrasts,
        shared_patients=tuple(_shared_patients(cases)),
        duplicates=duplicates,
        possible_twins=twins,
        measures=measures,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _all_empty(labelled: Sequence[CheckedCase]) -> DataSetProblem:
    return DataSetProblem(
        expected="label maps with structures",
        found=f"{counted(len(labelled), 'label map')} without any structure",
        remedy="export the label maps again, with values above 0 inside the structures",
    )


def _only_one_patient(cases: Sequence[CheckedCase]) -> Iterator[DataSetProblem]:
    if len(cases) > 1 and len({case.patient for case in cases}) == 1:
        yield DataSetProblem(
            expected="several patients, because folds are grouped by patient",
            found=f"the same patient for all {len(cases)} cases",
            remedy="correct data.patient_pattern: its group captures what differs between patients",
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


def unused_labels(cases: Iterable[CheckedCase], data: DataSection) -> list[int]:
    """Configured label values that no case has."""
    present = {value for case in cases for value in case.structures}
    return sorted(set(data.labels.values()) - present)


def _structures(values: Iterable[int], data: DataSection) -> str:
    names = {value: name for name, value in data.labels.items()}
    return " or ".join(f"the value {value} ({names[value]})" for value in values)


def patient_numbers(cases: Iterable[CheckedCase]) -> dict[str, int]:
    """Anonymous number of the patient by case name."""
    numbers: dict[str, int] = {}
    return {case.name: numbers.setdefault(case.patient, len(numbers) + 1) for case in cases}


def _mark_label_maps(cases: Iterable[CheckedCase], data: DataSection) -> Iterator[DataSetProblem]:
    """Add a problem, or a warning if they are to be used, to images that look like label maps."""
    alike = [case for case in cases if case.like_labels]
    for case in alike:
        which = "" if len(data.contrasts) == 1 else f"{listed(case.like_labels)} "
        text = f"{which}looks like a label map: regions of equal whole numbers"
        (case.problems if data.label_like_images == "refuse" else case.warnings).append(text)
    if alike and data.label_like_images == "refuse":
        yield swapped_folders(alike) or DataSetProblem(
            expected="scans as images",
            found=f"images that look like label maps: {listed(case.name for case in alike)}",
            remedy="move label maps to the folder of labels, or pair them with their images in a "
            "CSV manifest; if they are scans, binary ones for example, set "
            "data.label_like_images=use",
        )


def swapped_folders(cases: Sequence[CheckedCase]) -> DataSetProblem | None:
    """The problem that images and label maps have changed places; None if they have not."""
    if not cases or not all(case.like_labels and _label_is_like_scan(case) for case in cases):
        return None
    return DataSetProblem(
        expected="scans as images, and label maps as labels",
        found="images that look like label maps, and labels that look like scans: "
        f"{listed(case.name for case in cases)}",
        remedy="images and labels look swapped: exchange the two, by data.images and "
        "data.labels_folder or in the manifest",
    )


def _label_is_like_scan(case: CheckedCase) -> bool:
    has_fractions = any(WHOLE_NUMBERS in text for text in case.problems)
    return has_fractions or len(case.structures) > MAX_LABEL_VALUES


def _possible_twins(
    cases: Sequence[CheckedCase], duplicates: Duplicates, likely: LikelyPatients | None
) -> list[PossibleTwins]:
    """Cases that may be of one person; copies, and patients that are likely, are known already."""
    copies = {name for names in duplicates.groups for name in names[1:]}
    used = [case for case in cases if case.labelled] or list(cases)
    patients = {case.name: case.patient for case in used}
    if likely is not None:
        patients = {case.name: likely.patient_of(case.name) for case in used}
    return possible_twins([case for case in used if case.name not in copies], patients)


def _note_sparse_labels(cases: Sequence[CheckedCase]) -> Iterator[str]:
    sparse = [case.sparse_labels for case in cases if case.sparse_labels is not None]
    if sparse:
        labelled = sum(bool(case.structures) for case in cases)
        patterns = _counted(Counter(one.pattern for one in sparse))
        yield (
            f"{len(sparse)} of {labelled} label maps have labels on some slices only ({patterns}): "
            "what lies between counts as background; label every slice, or keep only the labelled "
            "slices of image and label"
        )


def _shared_patients(cases: Iterable[CheckedCase]) -> Iterator[tuple[str, ...]]:
    by_patient: dict[str, list[str]] = {}
    for case in cases:
        by_patient.setdefault(case.patient, []).append(case.name)
    return (tuple(names) for names in by_patient.values() if len(names) > 1)


def _note_outliers(
    cases: Iterable[CheckedCase], measures: Iterable[CohortMeasure]
) -> Iterator[str]:
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
    for value, name in structure_names(cases, data).items():
        count = sum(value in case.structures for case in cases)
        if count < COMMON_FRACTION * len(cases):
            continue
        for case in cases:
            if value not in case.structures:
                case.notes.append(f"no {name}, {count} of {len(cases)} labels have it")


def _counted(counts: Mapping[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} x {name}" for name, count in ranked)
