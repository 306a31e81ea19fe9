"""A fingerprint and its slices in; network, batches, sampling, folds and augmentation out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slicewise.config import DataSection
from slicewise.dataset.catalogue import listed
from slicewise.planning import recipe
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import Machine

SMALLEST_BOTTOM = 2
"""Pixels along a side that the lowest level must still see."""
MOST_LEVELS = 5
MOST_FOLDS = 5
SEVERAL = 4
"""Pieces, in the median, from which on a structure counts as many: one on each side are two."""
_STRIP = 2
_EVEN = 4


def plan_data(draft: Draft, fingerprint: Fingerprint) -> None:
    """Contrasts, structures, patients and folds."""
    draft.choose("data.contrasts", list(fingerprint.contrasts), "in the order of the channels")
    found = ", ".join(
        f"{name} in {len(fingerprint.of_structure(value))}"
        for name, value in fingerprint.labels.items()
    )
    reason = f"values that occur in {len(fingerprint.cases)} labels: {found}"
    draft.choose("data.labels", dict(fingerprint.labels), reason)
    _plan_patients(draft, fingerprint)
    apart = sum(not case.is_on_one_grid for case in fingerprint.cases)
    if apart:
        reason = f"contrasts lie on different grids in {apart} of {len(fingerprint.cases)} cases"
        draft.choose("reading.different_grids", "resample", reason)
    patients = fingerprint.patients
    draft.choose(
        "data.folds",
        "stratified",
        "grouped by patient, with structures of like volume in each fold",
    )
    draft.choose(
        "data.fold_count",
        min(MOST_FOLDS, patients),
        f"{len(fingerprint.cases)} labelled cases of {patients} patients",
    )


def _plan_patients(draft: Draft, fingerprint: Fingerprint) -> None:
    likely, data = fingerprint.likely, DataSection()
    pattern, scans, reason = data.patient_pattern, data.scans_per_patient, ""
    if likely is not None:
        pattern, scans, reason = likely.pattern, likely.scans_per_patient, likely.reason
    draft.choose("data.patient_pattern", pattern, reason)
    consecutive = "consecutive numbers share a patient" if scans > 1 else ""
    draft.choose("data.scans_per_patient", scans, consecutive)


def plan_structures(draft: Draft, fingerprint: Fingerprint) -> None:
    """Structures of many pieces are scored piece by piece, too."""
    several = {}
    for name, value in fingerprint.labels.items():
        pieces = [facts.pieces for facts in fingerprint.of_structure(value)]
        if pieces and np.median(pieces) >= SEVERAL:
            several[name] = float(np.median(pieces))
    reason = ", ".join(f"{name} has {count:.0f} pieces" for name, count in several.items())
    sections = {name: {"several_components": True} for name in several}
    draft.choose("structures", sections, f"{reason} (median)" if several else "")


def plan_network(draft: Draft, machine: Machine) -> None:
    """As many levels as the window carries."""
    window = draft["network.window"]
    levels = levels_for(window)
    features = [min(channels, machine.most_features) for channels in recipe.CHANNELS[:levels]]
    bottom = min(window) // 2**levels
    reason = f"{levels} levels leave {bottom} pixels of {min(window)} at the bottom"
    draft.choose("network.features", features, reason)


def levels_for(window: Sequence[int]) -> int:
    """Poolings after which enough of a window is left."""
    levels = 1
    while levels < MOST_LEVELS and min(window) >= SMALLEST_BOTTOM * 2 ** (levels + 1):
        levels += 1
    return levels


def plan_batch(draft: Draft) -> None:
    """Slices a step, in training and in prediction."""
    rows, columns = draft["network.window"]
    wanted = recipe.BATCH_PIXELS // (rows * columns) // _EVEN * _EVEN
    size = int(np.clip(wanted, recipe.SMALLEST_BATCH, recipe.LARGEST_BATCH))
    reason = f"{size} windows of {rows} x {columns} are {size * rows * columns / 1000:,.0f}k pixels"
    draft.choose("training.batch_size", size, reason)
    draft.choose("inference.batch_size", 2 * draft["training.batch_size"], "no gradients to keep")


def plan_sampling(draft: Draft, fingerprint: Fingerprint) -> None:
    """How often a window is centred on a structure."""
    shares = {
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
    smallest = min(shares, key=lambda name: shares[name])
    reason = f"the smallest structure, {smallest}, fills {shares[smallest]:.2%} of the voxels"
    is_rare = shares[smallest] < recipe.RARE
    fraction = recipe.RARE_FOREGROUND_FRACTION if is_rare else 0.5
    draft.choose("training.foreground_fraction", fraction, f"{reason} (median)")


def plan_augmentation(draft: Draft) -> None:
    """Ranges that fit the window; mirroring is left to validation."""
    window = draft["network.window"]
    is_strip = max(window) >= _STRIP * min(window)
    degrees = recipe.STRIP_ROTATION_DEGREES if is_strip else recipe.ROTATION_DEGREES
    reason = "the window is a strip, which turns out of itself" if is_strip else ""
    draft.choose("augmentation.rotation_degrees", degrees, reason)
    may_be_missing = draft.given.get("data.missing_contrasts") == "zero"
    if may_be_missing and len(draft["data.contrasts"]) > 1:
        draft.choose(
            "augmentation.contrast_dropout_probability",
            recipe.MISSING_CONTRAST_DROPOUT,
            f"so that a case without one of {listed(draft['data.contrasts'])} can be predicted",
        )


def plan_budget(draft: Draft, budget_minutes: float) -> None:
    """The budget of a fold, unless steps or epochs are given."""
    other = [key for key in ("epochs", "steps") if f"training.{key}" in draft.given]
    for key in other:
        draft.choose(f"training.{key}", None, "")
    if not other:
        draft.choose("training.budget_minutes", budget_minutes, "of one fold, validation included")
