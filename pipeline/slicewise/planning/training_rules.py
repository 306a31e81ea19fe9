"""Rules for folds, network, batch size, sampling, augmentation and budget."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicewise.config import DataSection
from slicewise.planning import recipe
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import Machine
from slicewise.quantities import counted, listed

MIN_BOTTLENECK_PIXELS = 2
"""Smallest side of the feature maps in the bottleneck."""
MAX_LEVELS = 5
MAX_FOLDS = 5
MIN_COMPONENTS = 4
"""A structure with at least so many components (median) is also scored by component.

Paired structures have two."""
_STRIP = 2
_EVEN = 4


def plan_data(draft: Draft, fingerprint: Fingerprint) -> None:
    """Contrasts, labels, patients and folds."""
    draft.choose(
        "data.contrasts", list(fingerprint.contrasts), "in the order of the input channels"
    )
    found = ", ".join(
        f"{name} in {counted(len(fingerprint.of_structure(value)), 'case')}"
        for name, value in fingerprint.labels.items()
    )
    reason = f"label values that occur: {found}, of {len(fingerprint.cases)}"
    draft.choose("data.labels", dict(fingerprint.labels), reason)
    _plan_patients(draft, fingerprint)
    differing = sum(not case.is_on_common_grid for case in fingerprint.cases)
    if differing:
        reason = (
            f"contrasts have different voxel grids in {differing} of {len(fingerprint.cases)} cases"
        )
        draft.choose("reading.different_grids", "resample", reason)
    if left_out := fingerprint.overview.duplicates.left_out:
        reason = f"{counted(len(left_out), 'scan')} in the data set under another name as well"
        draft.choose("data.duplicates", "keep_first", reason)
    patients = fingerprint.patients
    draft.choose(
        "data.folds",
        "stratified",
        "grouped by patient, with similar structure volumes in each fold",
    )
    draft.choose(
        "data.fold_count",
        min(MAX_FOLDS, patients),
        f"{counted(len(fingerprint.cases), 'labelled case')} of {counted(patients, 'patient')}",
    )


def _plan_patients(draft: Draft, fingerprint: Fingerprint) -> None:
    likely, data = fingerprint.likely_patients, DataSection()
    pattern, scans, reason = data.patient_pattern, data.scans_per_patient, ""
    if likely is not None:
        pattern, scans, reason = likely.pattern, likely.scans_per_patient, likely.reason
    draft.choose("data.patient_pattern", pattern, reason)
    consecutive = "scans with consecutive numbers share a patient" if scans > 1 else ""
    draft.choose("data.scans_per_patient", scans, consecutive)


def plan_structures(draft: Draft, fingerprint: Fingerprint) -> None:
    """Structures with many connected components are also scored by component."""
    several = {}
    for name, value in fingerprint.labels.items():
        counts = [facts.components for facts in fingerprint.of_structure(value)]
        if counts and np.median(counts) >= MIN_COMPONENTS:
            several[name] = float(np.median(counts))
    reason = ", ".join(
        f"{name} has {count:.0f} connected components" for name, count in several.items()
    )
    sections = {name: {"several_components": True} for name in several}
    draft.choose("structures", sections, f"{reason} (median)" if several else "")


def plan_network(draft: Draft, machine: Machine) -> None:
    """As many levels as the window allows."""
    window = draft["network.window"]
    levels = levels_for(window)
    features = [min(channels, machine.max_features) for channels in recipe.CHANNELS[:levels]]
    bottom = min(window) // 2**levels
    reason = f"{levels} poolings reduce {min(window)} pixels to {bottom} in the bottleneck"
    draft.choose("network.features", features, reason)


def levels_for(window: Sequence[int]) -> int:
    """Number of poolings that leave enough pixels of a window."""
    levels = 1
    while levels < MAX_LEVELS and min(window) >= MIN_BOTTLENECK_PIXELS * 2 ** (levels + 1):
        levels += 1
    return levels


def plan_batch(draft: Draft) -> None:
    """Windows of a batch, in training and in inference."""
    rows, columns = draft["network.window"]
    wanted = recipe.BATCH_PIXELS // (rows * columns) // _EVEN * _EVEN
    size = int(np.clip(wanted, recipe.MIN_BATCH, recipe.MAX_BATCH))
    reason = f"{size} windows of {rows} x {columns} are {size * rows * columns:,} pixels"
    draft.choose("training.batch_size", size, reason)
    draft.choose(
        "inference.batch_size",
        2 * draft["training.batch_size"],
        "twice the training batch: inference stores no gradients",
    )


def plan_sampling(draft: Draft, fingerprint: Fingerprint) -> None:
    """Fraction of training windows that are centred on a structure."""
    fractions = {
        name: float(
            np.median(
                [
                    case.structures[value].voxels / case.voxels
                    for case in fingerprint.cases
                    if value in case.structures
                ]
            )
        )
        for name, value in fingerprint.labels.items()
        if fingerprint.of_structure(value)
    }
    smallest = min(fractions, key=lambda name: fractions[name])
    reason = f"the smallest structure, {smallest}, fills {fractions[smallest]:.2%} of a scan"
    is_rare = fractions[smallest] < recipe.RARE_FRACTION
    fraction = recipe.RARE_FOREGROUND_FRACTION if is_rare else 0.5
    draft.choose("training.foreground_fraction", fraction, f"{reason} (median)")


def plan_augmentation(draft: Draft) -> None:
    """Rotation range for the shape of the window, and contrast dropout."""
    window = draft["network.window"]
    is_strip = max(window) >= _STRIP * min(window)
    degrees = recipe.STRIP_ROTATION_DEGREES if is_strip else recipe.ROTATION_DEGREES
    reason = "small, because larger rotations leave a long, narrow window" if is_strip else ""
    draft.choose("augmentation.rotation_degrees", degrees, reason)
    may_be_missing = draft.overrides.get("data.missing_contrasts") == "zero"
    if may_be_missing and len(draft["data.contrasts"]) > 1:
        draft.choose(
            "augmentation.contrast_dropout_probability",
            recipe.MISSING_CONTRAST_DROPOUT,
            f"so that cases that lack one of {listed(draft['data.contrasts'])} can be predicted",
        )


def plan_budget(draft: Draft, budget_minutes: float) -> None:
    """The budget of a fold, unless the user has set steps or epochs."""
    other = [key for key in ("epochs", "steps") if f"training.{key}" in draft.overrides]
    for key in other:
        draft.choose(f"training.{key}", None, "")
    if not other:
        draft.choose(
            "training.budget_minutes", budget_minutes, "minutes for one fold, including validation"
        )
