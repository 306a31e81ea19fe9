"""Sentences about scans that several use cases report while they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise.dataset.catalogue import Catalogue, SetAside
from slicewise.progress import Progress
from slicewise.quantities import listed

_MOST = 40
"""Messages of one kind; what may be left out is listed in a file, or follows a pattern."""


def report_patients(progress: Progress, catalogue: Catalogue) -> None:
    """Name the ids that are taken for one patient because only case or spaces differ."""
    for variants in catalogue.patient_variants[:_MOST]:
        ids = listed(map(repr, variants.written))
        progress.message(
            f"warning: taken for one patient, because only case or spaces differ: {ids} "
            f"(cases {listed(variants.cases, most=4)})"
        )
    if (left := len(catalogue.patient_variants) - _MOST) > 0:
        progress.message(f"warning: so are the ids of {left} more patients")


def report_set_aside(
    progress: Progress, items: Sequence[SetAside], quarantine: Path | None = None
) -> None:
    """Name the scans that the work goes on without.

    Args:
        progress: receives one sentence per scan.
        items: scans that are left out.
        quarantine: the private list of where they lie, where there is one.
    """
    shown = items if quarantine is None else items[:_MOST]
    for item in shown:
        progress.message(f"set aside: {item.name}: {item.reason} ({item.remedy})")
    if len(shown) < len(items):
        progress.message(f"set aside: {len(items) - len(shown)} more")
    if items and quarantine is not None:
        progress.message(
            f"their paths and reasons: {quarantine} (may name patients; only you can read it)"
        )


def report_notes(progress: Progress, notes: Sequence[str]) -> None:
    """Report sentences about the search for scans, such as which files were not read."""
    for text in notes:
        progress.message(text)


def report_warnings(progress: Progress, noticed: Mapping[str, Sequence[str]]) -> None:
    """Report what was noticed when scans were read, each text once with the scans it is about.

    Args:
        progress: receives one sentence per text.
        noticed: name of each scan to the texts.
    """
    scans: dict[str, list[str]] = {}
    for name, texts in noticed.items():
        for text in texts:
            scans.setdefault(text, []).append(name)
    for text, names in scans.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        progress.message(f"warning: {text}: {names[0]}{more}")
