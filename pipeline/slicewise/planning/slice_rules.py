"""A fingerprint in; plane, spacing, normalisation, window and neighbours of the slices out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from slicewise.dataset.plane import PLANES
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import Machine
from slicewise.planning.slices import View, slicing_axis, views_of

THICK = 1.5
"""Thickest over thinnest spacing from which on scans count as stacks of slices."""
STACK = 2.0
"""A scan beyond this ratio is a stack of slices, whatever the others are."""
FEWEST_SLICES = 16
"""A view of fewer slices is too thin to be learned from."""
THIN_SHARE = 0.05
"""So few scans of another kind do not decide about all."""
AGREEING = 1.10
"""Spacings within this factor count as one."""
STEP = 8
"""Windows have multiples of so many pixels along a side."""
MARGIN = 1.5
"""The window holds so many times the structures, so that their surroundings are seen."""
SMALLEST_WINDOW = 32
_ZERO_SHARE = 0.05
_AIR_SHARE = 0.15
FEWEST_DIVIDED = 10
"""Fewer labels do not show how a protocol divides structures."""
MOST_SHARED_SLICES = 0.5
"""So many slices of a label, on average, may hold both of what a protocol divides."""
THIN_NEIGHBOURS = 4
"""Slices up to so many pixels thick look enough like their neighbours to learn from them."""


def plan_plane(draft: Draft, fingerprint: Fingerprint) -> None:
    """All three planes where voxels are about as thick as wide, otherwise the slices' own."""
    ratio = fingerprint.median(lambda case: case.anisotropy)
    sizes = [min(case.shape) for case in fingerprint.cases]
    few = THIN_SHARE * len(sizes)
    thin = sum(size < FEWEST_SLICES for size in sizes)
    stacks = sum(case.anisotropy > STACK for case in fingerprint.cases)
    measured = f"the thickest side of a voxel is {ratio:.3g} times the thinnest (median)"
    plane = "thickest"
    if given_mm := draft.given.get("preprocessing.spacing_mm"):
        plane = "all" if len(given_mm) == 3 else plane
        reason = f"spacing_mm is given for {len(given_mm)} axes"
    elif ratio > THICK:
        reason = f"{measured}: slices lie apart, and only their own plane is fine"
    elif min(sizes) == 1:
        reason = "there are single slices, which have one plane only"
    elif stacks > few:
        reason = f"{stacks} of {len(sizes)} scans are stacks of thick slices"
    elif thin > few:
        reason = (
            f"{thin} of {len(sizes)} scans have fewer than {FEWEST_SLICES} slices along an axis"
        )
    else:
        plane = "all"
        reason = f"{measured}, so that axial, coronal and sagittal slices are equally good"
    draft.choose("preprocessing.plane", plane, reason)


def plan_spacing(draft: Draft, fingerprint: Fingerprint) -> None:
    """One spacing for all slices where the scans differ; never through thick slices."""
    plane = draft["preprocessing.plane"]
    steps = np.array([case.spacing_mm for case in fingerprint.cases])  # (cases, 3)
    if plane != "all":
        axes = [slicing_axis(case, plane) for case in fingerprint.cases]
        steps = np.array([np.delete(row, axis) for row, axis in zip(steps, axes, strict=True)])
    agreeing = _agree(steps) if plane == "all" else all(_agree(column) for column in steps.T)
    found = _range(steps)
    if agreeing:
        draft.choose("preprocessing.spacing_mm", None, f"spacings agree within 10 %: {found} mm")
        return
    medians = np.median(steps, axis=0)
    if plane == "all" or _agree(medians):
        # One network sees all views, so a pixel must mean the same in each.
        medians = np.full(len(medians), np.median(steps))
    target = [round(float(value), 3) for value in medians]
    where = "of all axes" if plane == "all" else "in the plane of the slices"
    reason = f"spacings {where} differ, {found} mm; brought to their median"
    draft.choose("preprocessing.spacing_mm", target, reason)


def plan_normalization(draft: Draft, fingerprint: Fingerprint) -> None:
    """Which voxels tell mean and deviation of a volume."""
    first = fingerprint.contrasts[0]
    zero = fingerprint.median(lambda case: case.contrasts[first].zero_share)
    dark = fingerprint.median(lambda case: case.contrasts[first].dark_share)
    # Resampling may leave a few values below 0; in CT it is not the outside that is 0.
    low = fingerprint.median(lambda case: case.contrasts[first].intensities.low)
    if zero >= _ZERO_SHARE and low >= 0:
        foreground = "nonzero"
        reason = f"{zero:.0%} of the voxels are exactly 0 (median), what lies outside of the body"
    elif dark < _AIR_SHARE:
        foreground = "all"
        reason = f"crops without air: {dark:.0%} of the voxels are dark (median)"
    else:
        foreground = "otsu"
        reason = f"{dark:.0%} of the voxels are dark (median), but {zero:.1%} exactly 0: noisy air"
    draft.choose("preprocessing.foreground", foreground, reason)


def plan_neighbours(draft: Draft, fingerprint: Fingerprint) -> None:
    """Neighbours as channels, where slices are thin enough to resemble each other."""
    views = planned_views(draft, fingerprint)
    thickness = float(np.median([view.thickness for view in views]))
    single = sum(view.count == 1 for view in views)
    if single > len(views) / 2:
        value, reason = 0, "most scans are single slices"
    elif thickness <= THIN_NEIGHBOURS:
        value, reason = 1, f"slices are {thickness:.3g} pixels apart, and neighbours tell more"
    else:
        value, reason = 0, f"slices are {thickness:.3g} pixels apart, too far to be alike"
    draft.choose("network.context_slices", value, reason)


def plan_window(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> None:
    """A window that holds the structures and what surrounds them, and no more than a slice.

    What a window has beyond the slice is padding, and its pixels are paid for in steps: windows of
    64 in slices of 36 x 50 cost 0.02 Dice in a short training (RESULTS.md).
    """
    views = planned_views(draft, fingerprint)
    labelled = [view for view in views if max(view.extent) > 0]
    extents = _percentiles([view.extent for view in labelled], 95)
    sizes = _percentiles([view.size for view in views], 50)
    sides = [
        _side(extent, size, machine.largest_window)
        for extent, size in zip(extents, sizes, strict=True)
    ]
    if draft["preprocessing.plane"] == "all":
        # Rows of one view are columns of another.
        sides = [max(sides)] * 2
    reason = (
        f"{MARGIN:g} times the structures, {extents[0]:.0f} x {extents[1]:.0f} pixels together "
        f"(95th percentile), but no more than the slices, {sizes[0]:.0f} x {sizes[1]:.0f} "
        f"(median); at most {machine.largest_window} on this machine"
    )
    draft.choose("network.window", sides, reason)


def plan_slice_exclusive(draft: Draft, fingerprint: Fingerprint) -> None:
    """Neighbours that hardly ever share a slice: their protocol divides them there."""
    slice_exclusive, reasons = [], []
    for (one, first), (other, second) in combinations(fingerprint.labels.items(), 2):
        pair = (min(first, second), max(first, second))
        shared = [found for case in fingerprint.cases if (found := case.shared_slices.get(pair))]
        axis = _dividing_axis(shared)
        if axis is not None:
            slice_exclusive.append({"plane": PLANES[axis], "structures": [one, other]})
            mean = np.mean([slices[axis] for slices in shared])
            reasons.append(
                f"{one} and {other} touch in {len(shared)} labels, and share {mean:.2g} "
                f"{PLANES[axis]} slices (mean)"
            )
    draft.choose("inference.slice_exclusive", slice_exclusive, "; ".join(reasons))


def _dividing_axis(shared: Sequence[tuple[int, int, int]]) -> int | None:
    """Across which two structures share no slices; of each label how many they share."""
    if len(shared) < FEWEST_DIVIDED:
        return None
    counts = np.array(shared)  # (labels, 3)
    means = counts.mean(0)
    axis = int(means.argmin())
    # What touches at its corners alone shares slices of no plane, and tells nothing.
    others = np.median(np.delete(counts, axis, axis=1), axis=0)
    return axis if means[axis] <= MOST_SHARED_SLICES and others.min() > 0 else None


def planned_views(draft: Draft, fingerprint: Fingerprint) -> list[View]:
    """The slices that the plan cuts so far."""
    plane, spacing_mm = draft["preprocessing.plane"], draft["preprocessing.spacing_mm"]
    return views_of(fingerprint.cases, plane, spacing_mm)


def _side(extent: float, size: float, largest: int) -> int:
    wanted = min(max(MARGIN * extent, SMALLEST_WINDOW), size)
    return min(math.ceil(wanted / STEP) * STEP, largest)


def _percentiles(pairs: Sequence[tuple[float, float]], share: float) -> tuple[float, float]:
    rows, columns = np.percentile(np.array(pairs), share, axis=0)
    return float(rows), float(columns)


def _agree(steps: NDArray[np.float64]) -> bool:
    return bool(steps.max() <= AGREEING * steps.min())


def _range(steps: NDArray[np.float64]) -> str:
    low, high = float(steps.min()), float(steps.max())
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"
