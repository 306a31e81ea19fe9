"""Ids of patients: from names of cases, and merged where only case or spaces differ."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from slicewise.config import DataSection
from slicewise.errors import DataError


@dataclass(frozen=True)
class PatientVariants:
    """Ids that differ only in case and spaces, and are taken for one patient.

    Attributes:
        written: the ids, without those in names of DICOM files; they may be hospital numbers, so
            they must not be stored with results.
        cases: names of the cases.
    """

    written: tuple[str, ...]
    cases: tuple[str, ...]


def captured(pattern: str, text: str, where: str, remedy: str) -> str:
    """What the first group of a pattern finds in a name.

    Args:
        pattern: regular expression with a group.
        text: the name.
        where: key and case, for messages.
        remedy: what the user can do.

    Raises:
        DataError: the pattern does not match the name.
    """
    match = re.search(pattern, text)
    if match is None or not match.group(1):
        raise DataError(
            where, expected=f"a name that matches '{pattern}'", found=f"'{text}'", remedy=remedy
        )
    return match.group(1)


def patient_of(name: str, data: DataSection) -> str:
    """The patient of a case by ``data.patient_pattern``; without it, each case is a patient.

    Raises:
        DataError: the pattern does not match the name.
    """
    if data.patient_pattern is None:
        return name
    remedy = "correct data.patient_pattern, or give patients in a CSV manifest"
    patient = captured(data.patient_pattern, name, f"data.patient_pattern, case {name}", remedy)
    if data.scans_per_patient == 1:
        return patient
    if not patient.isdigit():
        raise DataError(
            f"data.scans_per_patient, case {name}",
            expected="a number, because consecutive numbers share a patient",
            found=repr(patient),
            remedy="correct data.patient_pattern, so that its group captures digits only",
        )
    # With leading zeros, names and numbers have the same order.
    number = (int(patient) + data.scans_per_patient - 1) // data.scans_per_patient
    return f"{number:0{len(patient)}d}"


def plain_id(patient: str) -> str:
    """An id in lower case, without repeated spaces."""
    return " ".join(patient.split()).casefold()


def variants_of(
    names: Iterable[str],
    written: Mapping[str, str],
    merged: Mapping[str, str],
    neutral: Container[str],
) -> Iterator[PatientVariants]:
    """Ids that were merged into one.

    Args:
        names: of the cases.
        written: their patients as written.
        merged: their patients.
        neutral: names that replace those of files, which must not be shown.
    """
    cases_of: dict[str, list[str]] = {}
    for name in names:
        cases_of.setdefault(merged[name], []).append(name)
    for cases in cases_of.values():
        if len({written[name] for name in cases}) > 1:
            ids = {written[name] for name in cases if name not in neutral}
            yield PatientVariants(tuple(sorted(ids)), tuple(cases))
