"""The summary of a plan for the user: data set, planned values and estimated cost."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from slicewise import __version__
from slicewise.dataset.cohort_measure import rounded
from slicewise.planning.draft import OVERRIDDEN, Draft
from slicewise.planning.estimate import Estimate
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.quantities import counted, millilitres

Row = tuple[str, str]
"""A property and its value, as text."""
_MAX_KINDS = 3
_WIDTH = 96


def data_set_rows(fingerprint: Fingerprint) -> list[Row]:
    """Properties of the data set."""
    cases = fingerprint.cases
    scans = Counter(fingerprint.patient_of(case) for case in cases)
    each = f", up to {max(scans.values())} scans each" if max(scans.values()) > 1 else ""
    axes = Counter(case.orientation for case in cases).most_common(_MAX_KINDS)
    return [
        ("cases", f"{len(cases)} with labels, of {counted(len(scans), 'patient')}{each}"),
        ("contrasts", ", ".join(fingerprint.contrasts)),
        ("size in voxels", _ranges([case.shape for case in cases], " x ")),
        *_spacing_rows(fingerprint),
        ("orientation", ", ".join(f"{count} x {name}" for name, count in axes)),
        *_contrast_rows(fingerprint),
        *_structure_rows(fingerprint),
    ]


def _spacing_rows(fingerprint: Fingerprint) -> Iterator[Row]:
    if not fingerprint.spacing_is_known:
        yield "spacing", "unknown; sizes are in pixels"
        return
    cases = [case for case in fingerprint.cases if case.spacing_is_known]
    yield "spacing", _ranges([case.spacing_mm for case in cases], " x ") + " mm"
    ratio = _range([case.anisotropy for case in cases])
    yield "anisotropy", f"{ratio} (largest over smallest spacing)"


def plan_rows(draft: Draft) -> list[tuple[str, str, str]]:
    """Each value that follows from the data or was set by the user: key, value, reason."""
    planned = [(key, choice.value, choice.reason) for key, choice in draft if choice.reason]
    known = {key for key, _, _ in planned}
    others = [
        (key, value, OVERRIDDEN) for key, value in draft.overrides.items() if key not in known
    ]
    return [(key, _shown(value), reason) for key, value, reason in (*planned, *others)]


def estimate_rows(found: Estimate, machine: Machine) -> list[Row]:
    """Estimated cost of a training on this machine."""
    section = found.config.training
    busy = "; busy now, durations estimated for an idle one" if found.is_busy else ""
    memory = "peak GPU memory" if machine.has_gpu else "peak memory"
    return [
        ("machine", f"{machine.name}, {section.precision}{busy}"),
        ("training step", f"{_seconds(found.step_seconds)} for {section.batch_size} slices"),
        ("one fold", f"{found.steps:,} steps in {rounded(found.minutes)} minutes"),
        ("passes over the data", f"{found.passes:.1f}"),
        ("validation", f"{section.validations} times {_seconds(found.validation_seconds)}"),
        (memory, f"{found.memory_gb:.1f} GB"),
        ("slice cache on disk", _size(found.disk_gb)),
        ("prediction", f"{_seconds(found.prediction_seconds)} for a scan of median size"),
    ]


def header_lines(
    command: str, found: Sequence[Row], sanity_checks: Sequence[str], estimated: Sequence[Row]
) -> list[str]:
    """The comment at the top of a planned configuration."""
    return [
        f"Planned by slicewise {__version__}: {command}",
        "",
        *_paragraph("The data set:", found),
        *(
            line
            for text in sanity_checks
            for line in ("", *textwrap.wrap(f"Check: {text}", _WIDTH))
        ),
        "",
        *_paragraph("Estimated cost of a training on the machine that planned it:", estimated),
        "",
        "  slicewise train CONFIG",
        "",
        "Comments above a value give the reason for it. All values can be changed.",
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
        zero = _range([100 * one.zero_fraction for one in facts])
        lacking = len(fingerprint.cases) - len(facts)
        missing = f"; missing in {lacking} of {len(fingerprint.cases)} cases" if lacking else ""
        yield contrast, f"99th percentile {highest}; {zero} % of the voxels are 0{missing}"


def _structure_rows(fingerprint: Fingerprint) -> Iterator[Row]:
    for name, value in fingerprint.labels.items():
        having = [case for case in fingerprint.cases if value in case.structures]
        if having:
            facts = [case.structures[value] for case in having]
            share = f"in {len(having)} of {len(fingerprint.cases)} cases"
            yield f"{name} ({value})", f"{share}, {_structure(having, facts)}"


def _structure(cases: Sequence[CaseFingerprint], facts: Sequence[StructureFacts]) -> str:
    components = [one.components for one in facts]
    number = "1 component" if max(components) == 1 else f"{_range(components)} components"
    if not all(case.spacing_is_known for case in cases):
        areas = _range([one.voxels for one in facts])
        return f"{areas} px, {_ranges([one.extent_mm[:2] for one in facts], ' x ')} px, {number}"
    volumes = [
        one.voxels * float(np.prod(case.spacing_mm)) / 1000
        for case, one in zip(cases, facts, strict=True)
    ]
    extent = _ranges([one.extent_mm for one in facts], " x ")
    return f"{_range(volumes, millilitres)} ml, {extent} mm, {number}"


def _ranges(triples: Sequence[tuple[float, ...]], between: str) -> str:
    return between.join(_range(column) for column in zip(*triples, strict=True))


def _range(values: Sequence[float], shown: Callable[[float], str] = rounded) -> str:
    """The median, and the range in brackets if values differ."""
    extremes = (min(values), float(np.median(values)), max(values))
    low, middle, high = map(shown, extremes)
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
