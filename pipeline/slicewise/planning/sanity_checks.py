"""A fingerprint in; what may spoil a training, and what only seems so, out in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from slicewise.dataset.catalogue import listed
from slicewise.planning.fingerprint import CaseFingerprint, ContrastFacts, Fingerprint
from slicewise.planning.slice_rules import STACK

GIANT = 8
"""A scan with so many times the median of voxels is named."""
FEW_PATIENTS = 10
_FEW_VALUES = 8
_AIR_HU = -900
_WIDE_SCALES = 10


def sanity_checks(fingerprint: Fingerprint, described: Mapping[str, int]) -> list[str]:
    """What to look at before hours are spent; one sentence each.

    Args:
        fingerprint: of the data set.
        described: structure name to value, as the data set says.
    """
    return [
        *_labels(fingerprint, described),
        *_images(fingerprint),
        *_sizes(fingerprint),
        *_planes(fingerprint),
        *_patients(fingerprint),
        *(text for text in fingerprint.overview.notes if fingerprint.likely is None),
    ]


def _labels(fingerprint: Fingerprint, described: Mapping[str, int]) -> Iterator[str]:
    empty = [case.name for case in fingerprint.cases if not case.structures]
    if empty:
        yield f"empty labels teach that nothing is there: {listed(empty)}; leave them out if wrong"
    for name, value in fingerprint.labels.items():
        having = [case for case in fingerprint.cases if value in case.structures]
        if not having:
            yield f"no case has {name} (value {value}), so it cannot be learned"
        elif len({fingerprint.patient_of(case) for case in having}) == 1:
            yield (
                f"only {listed(case.name for case in having)} has {name} (value {value}): while it "
                "is held out the structure is never learned, and otherwise it is never scored"
            )
    absent = sorted(set(described) - set(fingerprint.labels))
    if absent and not set(described.values()) & set(fingerprint.labels.values()):
        yield f"dataset.json names {listed(absent)}, and none of these values occurs"
    elif absent:
        yield f"dataset.json names {listed(absent)} as well, which no case has; left out"


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
            yield f"images{which} of a single value, nothing to learn from: {listed(constant)}"
        coarse = [name for name, one in facts.items() if 1 < one.distinct_values <= _FEW_VALUES]
        if coarse:
            yield (
                f"images{which} of at most {_FEW_VALUES} different values, as label maps are: "
                f"{listed(coarse)}"
            )
        yield from _other_modality(facts, which)
        yield from _scales(facts, which)


def _other_modality(facts: Mapping[str, ContrastFacts], which: str) -> Iterator[str]:
    """CT counts in Hounsfield units, in which air is -1000; MRI has no values of that kind."""
    like_ct = [name for name, one in facts.items() if one.intensities.low <= _AIR_HU]
    if like_ct and len(like_ct) == len(facts):
        yield f"all images{which} reach below {_AIR_HU}, as CT does; this pipeline is made for MRI"
    elif like_ct:
        yield f"images{which} that reach below {_AIR_HU}, as CT does: {listed(like_ct)}"


def _scales(facts: Mapping[str, ContrastFacts], which: str) -> Iterator[str]:
    scales = sorted(one.intensities.scale for one in facts.values() if one.intensities.scale > 0)
    if scales and scales[-1] > _WIDE_SCALES * scales[0]:
        yield (
            f"intensity ranges{which} from {scales[0]:.3g} to {scales[-1]:.3g}: each volume is "
            "normalised by itself, so that this does no harm"
        )


def _sizes(fingerprint: Fingerprint) -> Iterator[str]:
    median = fingerprint.median(lambda case: case.voxels)
    giants = [case for case in fingerprint.cases if case.voxels > GIANT * median]
    if giants:
        largest = max(giants, key=lambda case: case.voxels)
        yield (
            f"far larger than the rest: {listed(case.name for case in giants)}; {largest.name} has "
            f"{_shape(largest)} voxels, {largest.voxels / median:.0f} times the median. Windows "
            "follow the others, and disk and prediction pay for it"
        )


def _planes(fingerprint: Fingerprint) -> Iterator[str]:
    """Slices of one set that show different planes are learned by one network."""
    thick = [case for case in fingerprint.cases if case.anisotropy > STACK]
    if 0 < len(thick) < len(fingerprint.cases) / 2:
        yield (
            f"thick slices among thin ones, which blur when all planes are cut: "
            f"{listed(case.name for case in thick)}"
        )
    axes = {case.spacing_mm.index(max(case.spacing_mm)) for case in thick}
    if len(axes) > 1:
        yield (
            "thick slices of different planes (sagittal, coronal or axial by scan): one network "
            "sees them all; two configurations, one a plane, would learn better"
        )


def _patients(fingerprint: Fingerprint) -> Iterator[str]:
    if fingerprint.patients < FEW_PATIENTS:
        yield f"{fingerprint.patients} patients only: scores of so few say little about others"


def _shape(case: CaseFingerprint) -> str:
    return " x ".join(map(str, case.shape))
