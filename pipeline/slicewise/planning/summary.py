"""Fingerprint, draft and estimate in; what a person reads about them out, in short lines."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from slicewise import __version__
from slicewise.dataset.cohort_qc import rounded
from slicewise.planning.draft import GIVEN, Draft
from slicewise.planning.estimate import Estimate
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine

Row = tuple[str, str]
"""What is told, and how it is."""
_MOST_KINDS = 3
_WIDTH = 96


def found_rows(fingerprint: Fingerprint) -> list[Row]:
    """What a data set holds."""
    cases = fingerprint.cases
    scans = Counter(fingerprint.patient_of(case) for case in cases)
    each = f", up to {max(scans.values())} scans each" if max(scans.values()) > 1 else ""
    axes = Counter(case.orientation for case in cases).most_common(_MOST_KINDS)
    return [
        ("cases", f"{len(cases)} with labels, of {len(scans)} patients{each}"),
        ("contrasts", ", ".join(fingerprint.contrasts)),
        ("voxels", _ranges([case.shape for case in cases], " x ")),
        ("spacing", _ranges([case.spacing_mm for case in cases], " x ") + " mm"),
        ("voxels are", f"{_range([case.anisotropy for case in cases])} times as thick as wide"),
        ("stored axes", ", ".join(f"{count} x {name}" for name, count in axes)),
        *_contrast_rows(fingerprint),
        *_structure_rows(fingerprint),
    ]


def plan_rows(draft: Draft) -> list[tuple[str, str, str]]:
    """Each value that follows from the data or was given: key, value, reason."""
    planned = [(key, choice.value, choice.reason) for key, choice in draft if choice.reason]
    known = {key for key, _, _ in planned}
    given = [(key, value, GIVEN) for key, value in draft.given.items() if key not in known]
    return [(key, _shown(value), reason) for key, value, reason in (*planned, *given)]


def estimate_rows(found: Estimate, machine: Machine) -> list[Row]:
    """What a training costs here."""
    section = found.config.training
    busy = ", busy: durations as on a free one" if found.is_busy else ""
    memory = "memory of the GPU" if machine.has_gpu else "memory of the process"
    return [
        ("machine", f"{machine.name}, {section.precision}{busy}"),
        ("a step", f"{_seconds(found.step_seconds)}, {section.batch_size} slices"),
        ("a fold", f"{found.steps:,} steps, {rounded(found.minutes)} minutes"),
        ("passes over the data", f"{found.passes:.1f}"),
        ("a validation", f"{_seconds(found.validation_seconds)}, {section.validations} of them"),
        (memory, f"{found.memory_gb:.1f} GB"),
        ("slice cache on disk", _size(found.disk_gb)),
        ("predicting a scan", f"{_seconds(found.prediction_seconds)} (of middle size)"),
    ]


def head_lines(
    command: str, found: Sequence[Row], sanity_checks: Sequence[str], estimated: Sequence[Row]
) -> list[str]:
    """The comment at the top of a planned configuration."""
    return [
        f"Planned by slicewise {__version__}: {command}",
        "",
        *_paragraph("The data set:", found),
        *(line for text in sanity_checks for line in ("", *textwrap.wrap(f"Look: {text}", _WIDTH))),
        "",
        *_paragraph("What a training costs on the machine that planned it:", estimated),
        "",
        "  slicewise train CONFIG",
        "",
        "What follows from the data stands below its reason; all of it can be changed.",
    ]


def _paragraph(title: str, rows: Sequence[Row]) -> Iterator[str]:
    yield title
    for what, text in rows:
        yield from textwrap.wrap(f"  {what}: {text}", _WIDTH, subsequent_indent="    ")


def _contrast_rows(fingerprint: Fingerprint) -> Iterator[Row]:
    for contrast in fingerprint.contrasts:
        facts = [
            case.contrasts[contrast] for case in fingerprint.cases if contrast in case.contrasts
        ]
        highest = _range([one.intensities.high for one in facts])
        zero = _range([100 * one.zero_share for one in facts])
        lacking = len(fingerprint.cases) - len(facts)
        missing = f"; lacking in {lacking} of {len(fingerprint.cases)} cases" if lacking else ""
        yield contrast, f"99th percentile {highest}, {zero} % of the voxels exactly 0{missing}"


def _structure_rows(fingerprint: Fingerprint) -> Iterator[Row]:
    for name, value in fingerprint.labels.items():
        having = [case for case in fingerprint.cases if value in case.structures]
        if having:
            facts = [case.structures[value] for case in having]
            share = f"in {len(having)} of {len(fingerprint.cases)} cases"
            yield f"{name} ({value})", f"{share}, {_structure(having, facts)}"


def _structure(cases: Sequence[CaseFingerprint], facts: Sequence[StructureFacts]) -> str:
    volumes = [
        one.voxels * float(np.prod(case.spacing_mm)) / 1000
        for case, one in zip(cases, facts, strict=True)
    ]
    pieces = [one.pieces for one in facts]
    in_pieces = "one piece" if max(pieces) == 1 else f"{_range(pieces)} pieces"
    return (
        f"{_range(volumes)} ml, {_ranges([one.extent_mm for one in facts], ' x ')} mm, {in_pieces}"
    )


def _ranges(triples: Sequence[tuple[float, ...]], between: str) -> str:
    return between.join(_range(column) for column in zip(*triples, strict=True))


def _range(values: Sequence[float]) -> str:
    """The median, and in brackets the extremes where they differ."""
    extremes = (min(values), float(np.median(values)), max(values))
    low, middle, high = (rounded(value) for value in extremes)
    return middle if low == high else f"{middle} [{low} to {high}]"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_shown(item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "null" if value is None else str(value)


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _size(gigabytes: float) -> str:
    return f"{1000 * gigabytes:.0f} MB" if gigabytes < 1 else f"{gigabytes:.1f} GB"
