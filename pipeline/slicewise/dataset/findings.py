"""Every finding of a data check as JSON, without paths and patients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from slicewise.dataset.case_qc import CheckedCase
from slicewise.dataset.catalogue import SetAside
from slicewise.dataset.cohort_qc import Overview, patient_numbers
from slicewise.imaging.files import write_text

KEYS = {
    "summary.cases": "scans that were checked",
    "summary.patients": "patients to whom they belong",
    "summary.labelled": "cases with a label map",
    "summary.empty_labels": "label maps without any structure",
    "summary.unusable": "cases with problems",
    "summary.contrasts": "names, in the order of the channels",
    "summary.shared_patients": "cases of each patient who has several",
    "summary.duplicates": "cases that hold the same voxels",
    "summary.notes": "what concerns the set as a whole",
    "cases[].name": "name of the case",
    "cases[].patient": "number of its patient in this list; says nothing about who it is",
    "cases[].shape": "voxels along each axis, as they are stored",
    "cases[].spacing_mm": "distance between voxels along each axis",
    "cases[].orientation": "anatomical direction of each axis, such as RAS",
    "cases[].plane": "of the slices that would be cut",
    "cases[].intensities": "of each contrast: lowest, 1st, 50th, 99th percentile, highest",
    "cases[].labelled": "whether there is a label map",
    "cases[].structures": "label value to its volume in ml",
    "cases[].problems": "reasons why the case cannot be used",
    "cases[].warnings": "what was noticed about the case itself",
    "cases[].notes": "in what it differs from the other cases",
    "cases[].digest": "SHA-256 of its voxels in RAS order as float32; empty where unreadable",
    "cases[].label_digest": "the same of its label map",
    "cases[].intensity_step": "smallest difference of two intensities of the first contrast",
    "set_aside[]": "what is no case: name, reason, remedy",
}
"""What each key means; the file itself begins with this."""


def write_findings(
    path: Path,
    cases: Sequence[CheckedCase],
    overview: Overview,
    set_aside: Sequence[SetAside],
) -> None:
    """Write everything that a check found out; only its owner can read the file.

    Raises:
        OutputError: the file cannot be written.
    """
    content = _findings(cases, overview, set_aside)
    write_text(path, json.dumps(content, indent=2) + "\n", private=True)


def _findings(
    cases: Sequence[CheckedCase], overview: Overview, set_aside: Sequence[SetAside]
) -> dict[str, Any]:
    patients = patient_numbers(cases)
    summary = asdict(overview)
    # The measures are in the cases already.
    del summary["measures"]
    return {
        "keys": KEYS,
        "summary": summary,
        "cases": [asdict(case) | {"patient": patients[case.name]} for case in cases],
        "set_aside": [
            {"name": item.name, "reason": item.reason, "remedy": item.remedy} for item in set_aside
        ],
    }
