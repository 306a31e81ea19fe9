"""Sentences that several use cases report: each scan, and of thousands the first."""

from __future__ import annotations

from pathlib import Path

from tests.recorded_progress import RecordedProgress

from slicewise.dataset.catalogue import Catalogue, SetAside
from slicewise.dataset.patient_ids import PatientVariants
from slicewise.workflows.messages import report_patients, report_set_aside

ITEMS = [SetAside(f"s{number}", "", "damaged", "restore it") for number in range(1000)]


def test_scans_that_a_file_lists_are_not_all_named(tmp_path: Path) -> None:
    progress = RecordedProgress()
    report_set_aside(progress, ITEMS, tmp_path / "quarantine.jsonl")
    assert progress.messages[39:41] == [
        "set aside: s39: damaged (restore it)",
        "set aside: 960 more",
    ]
    assert len(progress.messages) == 42
    assert "quarantine.jsonl" in progress.messages[-1]


def test_scans_that_no_file_lists_are_all_named() -> None:
    progress = RecordedProgress()
    report_set_aside(progress, ITEMS)
    assert len(progress.messages) == 1000


def test_patients_with_several_spellings() -> None:
    variants = tuple(PatientVariants((f"A{n}", f"a{n}"), (f"c{n}",)) for n in range(41))
    progress = RecordedProgress()
    report_patients(progress, Catalogue(Path("set"), (), patient_variants=variants))
    assert progress.messages[0].endswith("only case or spaces differ: 'A0', 'a0' (cases c0)")
    assert progress.messages[-1] == "warning: so are the ids of 1 more patients"
    assert len(progress.messages) == 41
