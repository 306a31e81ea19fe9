"""Writes the results of a data check as JSON, without paths and patients."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.cohort_qc import Overview, patient_numbers
from slicewise.imaging.files import write_parts

KEYS = {
    "summary.cases": "number of checked scans",
    "summary.patients": "number of patients",
    "summary.labelled": "number of cases with a label map",
    "summary.empty_labels": "number of label maps without any structure",
    "summary.unusable": "number of cases with problems",
    "summary.contrasts": "names, in the order of the channels",
    "summary.shared_patients": "cases of each patient with several",
    "summary.duplicates": "cases with the same scan",
    "summary.left_out": "copy to the case that is used instead, with data.duplicates: keep_first",
    "summary.possible_twins": "cases of different patients that may be of one person",
    "summary.problems": "why the data set cannot be trained on",
    "summary.notes": "notes about the data set as a whole",
    "cases[].name": "name of the case",
    "cases[].patient": "anonymous number of its patient in this file",
    "cases[].shape": "voxels along each axis, as stored",
    "cases[].spacing_mm": "distance between voxels along each axis; null if it is unknown",
    "cases[].spacing_is_known": "whether sizes are in millimetres; else in pixels",
    "cases[].orientation": "anatomical direction of each axis, such as RAS",
    "cases[].plane": "plane of the slices",
    "cases[].intensities": "of each contrast: minimum, 1st, 50th, 99th percentile, maximum",
    "cases[].labelled": "whether there is a label map",
    "cases[].structures": "volume of each label value in ml, or pixels if the spacing is unknown",
    "cases[].problems": "reasons why the case cannot be used",
    "cases[].warnings": "warnings about the case itself",
    "cases[].notes": "differences from the other cases",
    "cases[].digests": "of each contrast: SHA-256 of its voxels as float32, and of their order by "
    "intensity; independent of storage order, header and data type",
    "cases[].label_digest": "SHA-256 of its label map",
    "cases[].like_labels": "contrasts that look like label maps",
    "cases[].sparse_labels": "which slices are labelled, if structures are interrupted in between",
    "cases[].intensity_step": "smallest difference of two intensities of the first contrast",
    "set_aside[]": "excluded scans: name, reason, remedy",
}
"""Description of each key, at the beginning of the file."""


def write_check_json(
    path: Path,
    cases: Sequence[CheckedCase],
    overview: Overview,
    set_aside: Sequence[SetAside],
) -> None:
    """Write all results of a data check; only the owner can read the file.

    Raises:
        OutputError: the file cannot be written.
    """
    patients = patient_numbers(cases)
    shown = ({"name": one.name, "patient": patients[one.name], **_shown(one)} for one in cases)
    excluded = ({"name": it.name, "reason": it.reason, "remedy": it.remedy} for it in set_aside)
    parts = (
        *("{", '"keys": ', json.dumps(KEYS, indent=1), ",\n"),
        *('"summary": ', json.dumps(_summary(overview), indent=1), ",\n"),
    )
    rows = ('"cases": ', _rows(shown), ',\n"set_aside": ', _rows(excluded), "}\n")
    write_parts(path, chain(parts, *rows), private=True)


def _summary(overview: Overview) -> dict[str, Any]:
    # The measures are in the cases already.
    summary = asdict(replace(overview, measures=()))
    del summary["measures"]
    return summary | {
        "duplicates": overview.duplicates.groups,
        "left_out": overview.duplicates.left_out,
        "problems": [finding.text for finding in overview.problems],
    }


def _rows(items: Iterable[dict[str, Any]]) -> Iterator[str]:
    """A list in JSON, an item a line."""
    before = "[\n"
    for item in items:
        yield before + json.dumps(item)
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def _shown(case: CheckedCase) -> dict[str, Any]:
    """Without the signature, which means nothing to a reader, and an invented spacing."""
    shown = {key: value for key, value in case.as_json().items() if key != "signature"}
    return shown if case.spacing_is_known else shown | {"spacing_mm": None}
