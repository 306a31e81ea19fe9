"""Rules for the spacing that scans are resampled to, and for the size of pictures.

That a window sees the structures with their surroundings rests on chest radiographs (RESULTS.md):
Dice 0.88 instead of 0.40 after the same few steps.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import CaseFingerprint, Fingerprint, StructureFacts
from slicewise.planning.machine import Machine
from slicewise.planning.slice_rules import (
    MIN_WINDOW,
    WINDOW_MARGIN,
    extents_and_sizes,
    planned_views,
)
from slicewise.planning.slice_views import slicing_axis

MAX_SPACING_RATIO = 1.10
"""Spacings within this ratio are taken for equal."""
MIN_THICKNESS = 4.0
"""Pixels of the thinnest structure (mean) below which no spacing is raised; not measured."""


def plan_spacing(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> None:
    """One spacing if scans differ, or if no window holds the structures; the same for pictures.

    Thick slices are never resampled through the plane.
    """
    draft.choose("preprocessing.longest_side", None, "")
    if draft.overrides.get("preprocessing.longest_side") is not None:
        draft.choose("preprocessing.spacing_mm", None, "the longest side is set")
    elif draft.is_overridden("preprocessing.spacing_mm"):
        draft.choose("preprocessing.spacing_mm", None, "")
    elif fingerprint.spacing_is_known:
        _plan_spacing_mm(draft, fingerprint)
        _raise_spacing(draft, fingerprint, machine)
    else:
        draft.choose("preprocessing.spacing_mm", None, "the spacing is unknown")
        if draft["preprocessing.plane"] != "all":
            _plan_longest_side(draft, fingerprint, machine)


def _plan_spacing_mm(draft: Draft, fingerprint: Fingerprint) -> None:
    """The median spacing if scans differ."""
    plane = draft["preprocessing.plane"]
    steps = _steps_mm(draft, fingerprint)
    agreeing = _agree(steps) if plane == "all" else all(_agree(column) for column in steps.T)
    found = _range(steps)
    if agreeing:
        draft.choose(
            "preprocessing.spacing_mm", None, f"as scanned: spacings agree within 10 % ({found} mm)"
        )
        return
    medians = np.median(steps, axis=0)
    if plane == "all" or _agree(medians):
        # One network sees all views, so a pixel must mean the same in each.
        medians = np.full(len(medians), np.median(steps))
    target = [round(float(value), 3) for value in medians]
    which = "spacings" if plane == "all" else "in-plane spacings"
    reason = f"the median in mm: {which} differ ({found} mm)"
    draft.choose("preprocessing.spacing_mm", target, reason)


def _raise_spacing(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> None:
    """A coarser spacing at which a window holds structures that exceed the largest one."""
    excess, reason = _excess(draft, fingerprint, machine)
    if excess <= 1:
        return
    now = draft["preprocessing.spacing_mm"]
    if now is None:
        now = np.median(_steps_mm(draft, fingerprint), axis=0)
    target = [math.ceil(100 * excess * float(step)) / 100 for step in now]
    scanned = _range(_steps_mm(draft, fingerprint))
    draft.choose(
        "preprocessing.spacing_mm", target, f"coarser than scanned ({scanned} mm): {reason}"
    )


def _plan_longest_side(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> None:
    """One size for pictures whose sizes differ, or whose structures exceed the largest window."""
    key, plane = "preprocessing.longest_side", draft["preprocessing.plane"]
    sides = np.array(
        [max(np.delete(case.shape, slicing_axis(case, plane))) for case in fingerprint.cases]
    )
    median = max(MIN_WINDOW, round(float(np.median(sides))))
    reasons = []
    if not _agree(sides):
        reasons.append(f"one size for pictures of {_range(sides)} pixels on the longer side")
        draft.choose(key, median, "")
    excess, reason = _excess(draft, fingerprint, machine)
    if excess > 1:
        reasons.append(reason)
        draft.choose(key, max(MIN_WINDOW, math.floor(median / excess)), "")
    draft.choose(key, draft[key], "; ".join(reasons))


def _excess(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> tuple[float, str]:
    """How many times coarser pixels must be for a window to see all, and why; 1 if they need not.

    Thin structures keep some pixels, even if a window then sees less.
    """
    extents, sizes = extents_and_sizes(draft, fingerprint)
    if max(extents) <= machine.max_window:
        return 1.0, ""
    wanted = max(
        min(WINDOW_MARGIN * extent, size) for extent, size in zip(extents, sizes, strict=True)
    )
    name, thickness = _thinnest(draft, fingerprint)
    excess = min(wanted / machine.max_window, thickness / MIN_THICKNESS)
    reason = (
        f"structures extend over {max(extents):.0f} pixels (95th percentile), and a window that is "
        f"to see them with their surroundings has at most {machine.max_window} on this machine"
    )
    if excess < wanted / machine.max_window:
        reason += f"; not coarser still, as {name} is only {thickness:.1f} pixels thick (median)"
    return max(excess, 1.0), reason


def _thinnest(draft: Draft, fingerprint: Fingerprint) -> tuple[str, float]:
    """The structure with the least thickness in pixels, and this (median)."""
    plane = draft["preprocessing.plane"]
    pixel_mm = {view.case: max(view.pixel_mm) for view in planned_views(draft, fingerprint)}
    found = {}
    for name, value in fingerprint.labels.items():
        own = [
            _thickness_mm(case, case.structures[value], plane) / pixel_mm[case.name]
            for case in fingerprint.cases
            if value in case.structures
        ]
        if own:
            found[name] = float(np.median(own))
    name = min(found, key=lambda key: found[key])
    return name, found[name]


def _thickness_mm(case: CaseFingerprint, facts: StructureFacts, plane: str) -> float:
    """Mean thickness of a structure: its volume over the area along which it extends."""
    sides = list(facts.extent_mm)
    along = 1.0 if plane == "all" else sides.pop(slicing_axis(case, plane))
    longest = sorted(sides, reverse=True)[: 2 if plane == "all" else 1]
    return facts.voxels * math.prod(case.spacing_mm) / (along * math.prod(longest))


def _steps_mm(draft: Draft, fingerprint: Fingerprint) -> NDArray[np.float64]:
    """Spacings of each case, in the plane of the slices or of all axes."""
    plane = draft["preprocessing.plane"]
    steps = np.array([case.spacing_mm for case in fingerprint.cases])  # (cases, 3)
    if plane == "all":
        return steps
    axes = [slicing_axis(case, plane) for case in fingerprint.cases]
    return np.array([np.delete(row, axis) for row, axis in zip(steps, axes, strict=True)])


def _agree(steps: NDArray[np.float64]) -> bool:
    return bool(steps.max() <= MAX_SPACING_RATIO * steps.min())


def _range(steps: NDArray[np.float64]) -> str:
    low, high = float(steps.min()), float(steps.max())
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
