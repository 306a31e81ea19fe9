"""How a run was made: its cases and their preprocessing, as terms and texts of a report."""

from __future__ import annotations

from collections.abc import Iterator

from slicewise.config import Config
from slicewise.quantities import counted
from slicewise.reporting.charts.style import shown_name
from slicewise.reporting.report.contents import Report
from slicewise.reporting.report.text import patients_unknown


def data_facts(report: Report) -> Iterator[tuple[str, str]]:
    """Training and held-out cases, contrasts and structures: term and text."""
    patients_known = not patients_unknown(report)
    for facts in report.facts:
        prefix = f"fold {facts.fold}: " if len(report.facts) > 1 else ""
        training = _cases(facts.training_cases, facts.training_patients * patients_known)
        slices = f", {facts.training_slices:,} slices" if facts.training_slices else ""
        yield f"{prefix}training", training + slices
        held_out = _cases(facts.validation_cases, facts.validation_patients * patients_known)
        yield f"{prefix}held out", held_out
    if report.folds:
        config = report.folds[0].config
        yield "contrasts", ", ".join(config.data.contrasts)
        yield "structures", ", ".join(map(shown_name, config.data.labels))


def scan_facts(report: Report) -> Iterator[tuple[str, str]]:
    """What the scans looked like that the network was trained on: term and text."""
    facts = next((facts for facts in report.facts if facts.scans), None)
    if facts is None:
        return
    yield from facts.scans.items()
    unlike = {name: text for facts in report.facts for name, text in facts.unlike.items()}
    cases = sum(facts.validation_cases for facts in report.facts)
    named = "".join(f"; {name}: {text}" for name, text in unlike.items())
    yield "unlike all others", f"{len(unlike)} of {counted(cases, 'held-out case')}{named}"


def preprocessing_facts(report: Report) -> Iterator[tuple[str, str]]:
    """How the slices were made: term and text."""
    if not report.folds:
        return
    config: Config = report.folds[0].config
    section = config.preprocessing
    low, high = section.clip_percentiles
    planes = {"thickest": "across the thickest voxels", "all": "axial, coronal and sagittal"}
    yield "slices", planes.get(section.plane, section.plane)
    spacing_mm = " x ".join(f"{value:g}" for value in section.spacing_mm or ())
    name = "spacing" if section.plane == "all" else "in-plane spacing"
    yield name, f"{spacing_mm} mm" if spacing_mm else "as scanned"
    if section.longest_side is not None:
        yield "longer side of a slice", f"{section.longest_side} pixels"
    yield (
        "intensities",
        f"clipped to the {low:g}th to {high:g}th percentile of the foreground "
        f"({section.foreground}), then the mean and standard deviation of each volume",
    )
    yield "crop to foreground", "yes" if section.crop_foreground else "no"
    if report.network is None and all(facts.kind == "baseline" for facts in report.facts):
        return
    neighbours = config.network.context_slices
    plural = "s" * (neighbours > 1)
    yield "context", f"{neighbours} neighbour{plural} on either side" if neighbours else "none"
    if config.network.coordinates:
        yield "coordinates", "along each axis, as input channels"


def set_aside_reasons(report: Report) -> dict[str, str]:
    """Cases that the run left out, each with its reason."""
    return {name: reason for facts in report.facts for name, reason in facts.set_aside.items()}


def _cases(cases: int, patients: int) -> str:
    """Number of cases, and of patients where these are known."""
    return counted(cases, "case") + (f" of {counted(patients, 'patient')}" if patients else "")
