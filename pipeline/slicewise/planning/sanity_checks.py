"""Sanity checks of a data set before training, as sentences for the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slicewise.dataset.grouping import joined
from slicewise.planning.fingerprint import CaseFingerprint, ContrastFacts, Fingerprint
from slicewise.planning.slice_rules import THICK_SLICE_RATIO
from slicewise.quantities import counted, listed

GIANT_RATIO = 8
"""A scan with more voxels than this multiple of the median is reported."""
FEW_PATIENTS = 10
_FEW_VALUES = 8
_AIR_HU = -900
_MAX_SCALE_RATIO = 10


def sanity_checks(fingerprint: Fingerprint, described: Mapping[str, int]) -> list[str]:
    """What to check before training, a sentence each.

    Args:
        fingerprint: of the data set.
        described: structure name to label value, from the description of the data set.
    """
    return [
        *_labels(fingerprint, described),
        *_images(fingerprint),
        *_sizes(fingerprint),
        *_planes(fingerprint),
        *_patients(fingerprint),
        # What seems to share a patient is part of the plan.
        *(text for text in fingerprint.overview.notes if text != _advice(fingerprint)),
    ]


def _advice(fingerprint: Fingerprint) -> str:
    likely = fingerprint.likely_patients
    return "" if likely is None else likely.advice


def _labels(fingerprint: Fingerprint, described: Mapping[str, int]) -> Iterator[str]:
    empty = [case.name for case in fingerprint.cases if not case.structures]
    if empty:
        yield f"empty label maps; remove them if the image shows a structure: {listed(empty)}"
    for name, value in fingerprint.labels.items():
        having = [case for case in fingerprint.cases if value in case.structures]
        if not having:
            yield f"no case has {name} (value {value}): it cannot be learned"
        elif len({fingerprint.patient_of(case) for case in having}) == 1:
            yield (
                f"only one patient has {name} (value {value}): it is either trained on or scored, "
                f"never both ({listed(case.name for case in having)})"
            )
    yield from _groups(fingerprint)
    absent = sorted(set(described) - set(fingerprint.labels))
    if absent and not set(described.values()) & set(fingerprint.labels.values()):
        yield f"none of the label values in dataset.json occurs: {listed(absent)}"
    elif absent:
        yield f"left out, since no case has them: {listed(absent)} (from dataset.json)"


def _groups(fingerprint: Fingerprint) -> Iterator[str]:
    """Several anatomies in one data set."""
    name_of = {value: name for name, value in fingerprint.labels.items()}
    of_cases = [
        {name_of[value] for value in case.structures if value in name_of}
        for case in fingerprint.labelled
    ]
    groups = [
        (names, sum(not own.isdisjoint(names) for own in of_cases)) for names in joined(of_cases)
    ]
    if sum(count > 1 for _, count in groups) > 1:
        parts = "; ".join(
            f"{counted(count, 'case')} with {listed(names, most=4)}" for names, count in groups
        )
        yield (
            f"groups of cases without a common structure, like several anatomies: {parts}. If one "
            "model is not to know them all, plan each group as a data set of its own"
        )


def _images(fingerprint: Fingerprint) -> Iterator[str]:
    for contrast in fingerprint.contrasts:
        facts = {
            case.name: case.contrasts[contrast]
            for case in fingerprint.cases
            if contrast in case.contrasts
        }
        which = f" of {contrast}" if len(fingerprint.contrasts) > 1 else ""
        constant = [name for name, one in facts.items() if one.distinct_values == 1]
        if constant:
            yield f"constant images{which}: {listed(constant)}"
        coarse = [name for name, one in facts.items() if 1 < one.distinct_values <= _FEW_VALUES]
        if coarse:
            yield (
                f"images{which} with at most {_FEW_VALUES} different values, like label maps: "
                f"{listed(coarse)}"
            )
        yield from _other_modality(facts, which)
        yield from _scales(facts, which)


def _other_modality(facts: Mapping[str, ContrastFacts], which: str) -> Iterator[str]:
    """CT has Hounsfield units, in which air is -1000; MRI has no such values."""
    like_ct = [name for name, one in facts.items() if one.intensities.low <= _AIR_HU]
    if like_ct and len(like_ct) == len(facts):
        yield f"all images{which} have values below {_AIR_HU}, like CT; slicewise is made for MRI"
    elif like_ct:
        yield f"images{which} with values below {_AIR_HU}, like CT: {listed(like_ct)}"


def _scales(facts: Mapping[str, ContrastFacts], which: str) -> Iterator[str]:
    scales = sorted(one.intensities.scale for one in facts.values() if one.intensities.scale > 0)
    if scales and scales[-1] > _MAX_SCALE_RATIO * scales[0]:
        yield (
            f"intensity ranges{which} differ, from {scales[0]:.3g} to {scales[-1]:.3g}; harmless, "
            "since each volume is normalised by itself"
        )


def _sizes(fingerprint: Fingerprint) -> Iterator[str]:
    median = fingerprint.median(lambda case: case.voxels)
    giants = [case for case in fingerprint.cases if case.voxels > GIANT_RATIO * median]
    if giants:
        largest = max(giants, key=lambda case: case.voxels)
        yield (
            f"far larger than the other scans, and slow to predict: "
            f"{listed(case.name for case in giants)}; {largest.name} has {_shape(largest)} voxels, "
            f"{largest.voxels / median:.0f} times the median"
        )


def _planes(fingerprint: Fingerprint) -> Iterator[str]:
    """Thick slices among thin ones, or in different planes."""
    thick = [case for case in fingerprint.cases if case.anisotropy > THICK_SLICE_RATIO]
    if 0 < len(thick) < len(fingerprint.cases) / 2:
        yield (
            "scans with thick slices among isotropic ones, blurred in the other planes: "
            f"{listed(case.name for case in thick)}"
        )
    axes = {case.spacing_mm.index(max(case.spacing_mm)) for case in thick}
    if len(axes) > 1:
        yield (
            "the plane of the thick slices differs between scans: plan each plane as a data set of "
            "its own for better results"
        )


def _patients(fingerprint: Fingerprint) -> Iterator[str]:
    if fingerprint.patients < FEW_PATIENTS:
        patients = counted(fingerprint.patients, "patient")
        yield f"only {patients}: scores say little about other patients"


def _shape(case: CaseFingerprint) -> str:
    return " x ".join(map(str, case.shape))
