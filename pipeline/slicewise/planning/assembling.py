"""Measured cases and what the data set says about itself in, its ``Fingerprint`` out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from slicewise.config import Config
from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import Catalogue, SetAside, listed
from slicewise.dataset.cohort_qc import Overview, compare, unnamed_patients
from slicewise.dataset.label_names import is_label_name
from slicewise.errors import DataError
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint
from slicewise.planning.measuring import MeasuredCase

_MOST_SHOWN = 4


def assemble_fingerprint(
    measured: Sequence[MeasuredCase],
    config: Config,
    described: Mapping[str, int],
    catalogue: Catalogue,
) -> Fingerprint:
    """Join the cases, and name the label values that occur.

    Args:
        measured: in any order.
        config: contrasts, and labels and patients as far as they were given.
        described: structure name to value, as the data set says.
        catalogue: of the data set; what it tells about patients is not guessed.

    Raises:
        DataError: nothing to learn from, a scan twice, values that the given labels do not name,
            or a single patient.
    """
    root = catalogue.root
    measured = sorted(measured, key=lambda one: one.checked.name)
    checked = [one.checked for one in measured]
    usable = tuple(one.fingerprint for one in measured if one.fingerprint is not None)
    _require_named(checked, config, root)
    _require_structures(usable, checked, root)
    overview = compare(checked, config.data)
    _require_different(overview, root)
    fingerprint = Fingerprint(
        cases=usable,
        contrasts=config.data.contrasts,
        labels=config.data.labels or named_values(_values(usable), described),
        likely=None if catalogue.tells_patients else unnamed_patients(checked, config.data),
        overview=overview,
    )
    _require_patients(fingerprint, root)
    return fingerprint


def require_labels(catalogue: Catalogue) -> None:
    """Refuse a data set without label maps, before its scans are read.

    Raises:
        DataError: no case has a label.
    """
    if catalogue.labelled:
        return
    names = [case.name for case in catalogue.cases]
    alike = [name for name in names if is_label_name(name)]
    of_whom = f"; {listed(alike, most=3)}: of which image?" if alike else ""
    raise DataError(
        catalogue.root,
        expected="label maps to learn from",
        found=f"{len(names)} images and no label at all{of_whom}",
        remedy="call label maps like their images, with _seg or in a folder of their own (images "
        "and labels), or pair them in a CSV manifest (image,label,patient,contrast,case); where "
        "patients have several contrasts, name those to learn from: "
        "--set data.contrasts=[FLAIR,T1]",
    )


def unusable(measured: Iterable[MeasuredCase]) -> list[SetAside]:
    """The cases that the plan goes on without."""
    return [
        SetAside(one.checked.name, one.checked.name, text, "see `slicewise check`")
        for one in measured
        if one.fingerprint is None
        for text in one.checked.problems[:1]
    ]


def named_values(values: Iterable[int], described: Mapping[str, int]) -> dict[str, int]:
    """Structure name to value, of the values that occur; ``label_7`` where nothing names it."""
    name_of = {value: name for name, value in described.items()}
    return {name_of.get(value, f"label_{value}"): value for value in sorted(values)}


def _values(cases: Iterable[CaseFingerprint]) -> set[int]:
    return {value for case in cases for value in case.structures}


def _require_structures(
    usable: Sequence[CaseFingerprint], checked: Sequence[CheckedCase], root: Path
) -> None:
    reasons = [f"{case.name}: {text}" for case in checked for text in case.problems[:1]]
    if not usable:
        found, remedy = "; ".join(reasons[:_MOST_SHOWN]), "see the reasons"
    elif not _values(usable):
        found = f"{len(usable)} labels, all of them empty"
        remedy = "export the label maps again, with values above 0 inside of the structures"
    else:
        return
    raise DataError(root, expected="labelled cases to learn from", found=found, remedy=remedy)


def _require_named(checked: Sequence[CheckedCase], config: Config, root: Path) -> None:
    """A training refuses values that the given labels do not name, and so does a plan."""
    named = set(config.data.labels.values())
    if not named:
        return
    unnamed = {
        case.name: others for case in checked if (others := sorted(set(case.structures) - named))
    }
    if unnamed:
        raise DataError(
            f"{root}: {listed(unnamed)}",
            expected=f"the values of data.labels: {sorted(named)}",
            found=f"{next(iter(unnamed.values()))} as well",
            remedy="name them with --set data.labels, too, or correct the label maps",
        )


def _require_different(overview: Overview, root: Path) -> None:
    """The same scan under two names could be learned from and scored."""
    if overview.duplicates:
        raise DataError(
            root,
            expected="every scan once",
            found="the same voxels under several names: "
            + "; ".join(listed(names) for names in overview.duplicates[:_MOST_SHOWN]),
            remedy="remove all but one of each",
        )


def _require_patients(fingerprint: Fingerprint, root: Path) -> None:
    if fingerprint.patients > 1:
        return
    cases = len(fingerprint.cases)
    raise DataError(
        root,
        expected="at least two patients: one to learn from, one to be scored on",
        found=f"{cases} usable labelled case{'s' if cases > 1 else ''} of one patient",
        remedy="add cases, or tell patients apart with --set data.patient_pattern=...",
    )
