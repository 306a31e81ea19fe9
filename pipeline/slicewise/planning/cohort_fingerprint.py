"""Joins the measurements of all cases into the fingerprint of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import Catalogue, SetAside
from slicewise.dataset.cohort_qc import compare, swapped_folders, unnamed_patients
from slicewise.dataset.data_set_problem import refuse
from slicewise.errors import DataError
from slicewise.planning.case_fingerprint import MeasuredCase
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint
from slicewise.quantities import counted, listed

_MAX_SHOWN = 4


def assemble_fingerprint(
    measured: Sequence[MeasuredCase],
    config: Config,
    described: Mapping[str, int],
    catalogue: Catalogue,
) -> Fingerprint:
    """Join the measured cases and name the label values that occur.

    Args:
        measured: in any order.
        config: contrasts; labels and patients where the user has set them.
        described: structure name to label value, from the description of the data set.
        catalogue: of the data set; patients that it names are not inferred.

    Raises:
        DataError: no usable labelled case, duplicate scans, label values that ``data.labels``
            does not name, or a single patient.
    """
    root = catalogue.root
    measured = sorted(measured, key=lambda one: one.checked.name)
    checked = [one.checked for one in measured]
    usable = tuple(one.fingerprint for one in measured if one.fingerprint is not None)
    if not usable and (swapped := swapped_folders(checked)):
        refuse([swapped], root)
    _require_named(checked, config, root)
    _require_structures(usable, checked, root)
    overview = compare(checked, config.data)
    refuse(overview.problems, root)
    usable = tuple(case for case in usable if case.name not in overview.duplicates.left_out)
    likely = None if catalogue.lists_patients else unnamed_patients(checked, config.data)
    fingerprint = Fingerprint(
        cases=usable,
        contrasts=config.data.contrasts,
        labels=config.data.labels or named_labels(_values(usable), described),
        likely_patients=likely,
        overview=overview,
    )
    _require_patients(fingerprint, root)
    return fingerprint


def unusable_cases(measured: Iterable[MeasuredCase]) -> list[SetAside]:
    """The cases that the plan leaves out, each with its first problem."""
    return [
        SetAside(one.checked.name, one.checked.name, text, "correct the scan or its label map")
        for one in measured
        if one.fingerprint is None
        for text in one.checked.problems[:1]
    ]


def named_labels(values: Iterable[int], described: Mapping[str, int]) -> dict[str, int]:
    """Structure name to value for the values that occur; unnamed ones become ``label_7``."""
    name_of = {value: name for name, value in described.items()}
    return {name_of.get(value, f"label_{value}"): value for value in sorted(values)}


def _values(cases: Iterable[CaseFingerprint]) -> set[int]:
    return {value for case in cases for value in case.structures}


def _require_structures(
    usable: Sequence[CaseFingerprint], checked: Sequence[CheckedCase], root: Path
) -> None:
    reasons = [f"{case.name}: {text}" for case in checked for text in case.problems[:1]]
    if not usable:
        found, remedy = "; ".join(reasons[:_MAX_SHOWN]), "correct the first problem of each case"
    elif not _values(usable):
        found = f"{counted(len(usable), 'label map')}, all empty"
        remedy = "export the label maps again, with values above 0 inside the structures"
    else:
        return
    raise DataError(root, expected="labelled cases to train on", found=found, remedy=remedy)


def _require_named(checked: Sequence[CheckedCase], config: Config, root: Path) -> None:
    """Training refuses label values that ``data.labels`` does not name, and so does planning."""
    named = set(config.data.labels.values())
    if not named:
        return
    unnamed = {
        case.name: others for case in checked if (others := sorted(set(case.structures) - named))
    }
    if unnamed:
        raise DataError(
            f"{root}: {listed(unnamed)}",
            expected=f"the values of data.labels: {listed(map(str, sorted(named)))}",
            found=f"{listed(map(str, next(iter(unnamed.values()))))} as well",
            remedy="add them to data.labels, or correct the label maps",
        )


def _require_patients(fingerprint: Fingerprint, root: Path) -> None:
    if fingerprint.patients > 1:
        return
    cases = len(fingerprint.cases)
    copies = "; ".join(fingerprint.overview.duplicates.notes)
    remedy = "add labelled cases of other patients"
    if cases > 1:
        remedy += r", or set data.patient_pattern='(\d+)' if the number in a name is the patient"
    raise DataError(
        root,
        expected="at least two patients, one to train on and one to hold out",
        found=f"{counted(cases, 'usable labelled case')} of one patient"
        + (f"; {copies}" if copies else ""),
        remedy=remedy,
    )
