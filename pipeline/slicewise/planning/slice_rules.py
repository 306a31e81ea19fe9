"""Rules for plane, normalisation, window and context of the slices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from slicewise.config import PreprocessingSection
from slicewise.dataset.plane import PLANES
from slicewise.planning.draft import Draft
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.machine import Machine
from slicewise.planning.slice_views import View, views_of

THICK_MEDIAN_RATIO = 1.5
"""Beyond this median anisotropy, a data set is taken for stacks of thick slices."""
THICK_SLICE_RATIO = 2.0
"""Beyond this anisotropy, a single scan is taken for a stack of thick slices."""
MIN_SLICES = 16
"""A plane with fewer slices is not worth training on."""
MINORITY_FRACTION = 0.05
"""Up to this fraction, scans that differ from the others are ignored."""
WINDOW_STEP = 8
"""The sides of a window are multiples of so many pixels."""
WINDOW_MARGIN = 1.5
"""Ratio of the window to the extent of the structures, for context."""
MIN_WINDOW = 32
_MIN_ZERO_FRACTION = 0.05
_MIN_AIR_FRACTION = 0.15
MIN_EXCLUSIVE_LABELS = 10
"""Fewer label maps do not show whether structures are slice-exclusive."""
MAX_SHARED_SLICES = 0.5
"""Slice-exclusive structures share at most so many slices of a label map, on average."""
MAX_CONTEXT_THICKNESS = 4
"""Slices up to so many pixels apart are similar enough to serve as context."""


def plan_plane(draft: Draft, fingerprint: Fingerprint) -> None:
    """All three planes for nearly isotropic voxels, otherwise the plane of acquisition."""
    ratio = fingerprint.median(lambda case: case.anisotropy)
    sizes = [min(case.shape) for case in fingerprint.cases]
    few = MINORITY_FRACTION * len(sizes)
    thin = sum(size < MIN_SLICES for size in sizes)
    stacks = sum(case.anisotropy > THICK_SLICE_RATIO for case in fingerprint.cases)
    measured = f"voxels are {ratio:.3g} times as thick as wide (median)"
    plane = "thickest"
    if spacing_mm := draft.overrides.get("preprocessing.spacing_mm"):
        plane = "all" if len(spacing_mm) == 3 else plane
        reason = f"spacing_mm is set for {len(spacing_mm)} axes"
    elif draft.overrides.get("preprocessing.longest_side"):
        reason = "longest_side is set, which slices of one plane have"
    elif ratio > THICK_MEDIAN_RATIO:
        reason = f"{measured}: only the plane of acquisition has a fine resolution"
    elif min(sizes) == 1:
        reason = "some scans are single slices, which have only one plane"
    elif stacks > few:
        reason = f"{stacks} of {len(sizes)} scans have thick slices"
    elif thin > few:
        reason = f"{thin} of {len(sizes)} scans have fewer than {MIN_SLICES} slices in some plane"
    else:
        plane = "all"
        reason = f"{measured}: axial, coronal and sagittal slices are equally fine"
    draft.choose("preprocessing.plane", plane, reason)


def plan_normalization(draft: Draft, fingerprint: Fingerprint) -> None:
    """Which voxels the mean and standard deviation of a volume are computed from."""
    first = fingerprint.contrasts[0]
    zero = fingerprint.median(lambda case: case.contrasts[first].zero_fraction)
    dark = fingerprint.median(lambda case: case.contrasts[first].dark_fraction)
    # Resampling may leave a few values below 0; in CT it is not the outside that is 0.
    low = fingerprint.median(lambda case: case.contrasts[first].intensities.low)
    if zero >= _MIN_ZERO_FRACTION and low >= 0:
        foreground = "nonzero"
        reason = f"{zero:.0%} of the voxels are exactly 0 (median): a masked background"
    elif dark < _MIN_AIR_FRACTION:
        foreground = "all"
        reason = f"only {dark:.0%} of the voxels are dark (median): cropped scans without air"
    else:
        foreground = "otsu"
        reason = f"{dark:.0%} of the voxels are dark and {zero:.1%} exactly 0 (median): noisy air"
    draft.choose("preprocessing.foreground", foreground, reason)


def plan_context_slices(draft: Draft, fingerprint: Fingerprint) -> None:
    """Neighbouring slices as input channels, if slices are thin enough to be similar."""
    views = planned_views(draft, fingerprint)
    thickness = float(np.median([view.thickness for view in views]))
    single = sum(view.count == 1 for view in views)
    if single > len(views) / 2:
        value, reason = 0, "most scans are single slices"
    elif thickness <= MAX_CONTEXT_THICKNESS:
        value, reason = (
            1,
            f"slices are {thickness:.3g} pixels apart: neighbours are similar and add context",
        )
    else:
        value, reason = (
            0,
            f"slices are {thickness:.3g} pixels apart: neighbours differ too much to help",
        )
    draft.choose("network.context_slices", value, reason)


def plan_window(draft: Draft, fingerprint: Fingerprint, machine: Machine) -> None:
    """A window around the structures with some context, not larger than a slice.

    Pixels beyond the slice are padding that costs training steps: windows of 64 x 64 in slices of
    36 x 50 lost 0.02 Dice in a short training (RESULTS.md).
    """
    extents, sizes = extents_and_sizes(draft, fingerprint)
    sides = [
        _side(extent, size, machine.max_window) for extent, size in zip(extents, sizes, strict=True)
    ]
    if draft["preprocessing.plane"] == "all":
        # Rows of one view are columns of another.
        sides = [max(sides)] * 2
    reason = (
        f"{WINDOW_MARGIN:g} times the extent of the structures ({extents[0]:.0f} x "
        f"{extents[1]:.0f} pixels, 95th percentile), at most a slice ({sizes[0]:.0f} x "
        f"{sizes[1]:.0f} pixels, median) and {machine.max_window} pixels on this machine"
    )
    draft.choose("network.window", sides, reason)


def plan_slice_exclusive(draft: Draft, fingerprint: Fingerprint) -> None:
    """Adjacent structures that hardly ever share a slice of some plane."""
    slice_exclusive, reasons = [], []
    for (one, first), (other, second) in combinations(fingerprint.labels.items(), 2):
        pair = (min(first, second), max(first, second))
        shared = [found for case in fingerprint.cases if (found := case.shared_slices.get(pair))]
        axis = _exclusive_axis(shared)
        if axis is not None:
            slice_exclusive.append({"plane": PLANES[axis], "structures": [one, other]})
            mean = np.mean([slices[axis] for slices in shared])
            reasons.append(
                f"{one} and {other} touch in {len(shared)} cases, but share only {mean:.2g} "
                f"{PLANES[axis]} slices a case (mean)"
            )
    draft.choose("inference.slice_exclusive", slice_exclusive, "; ".join(reasons))


def _exclusive_axis(shared: Sequence[tuple[int, int, int]]) -> int | None:
    """The axis along which two structures hardly share slices; None if there is none.

    Args:
        shared: for each label map, the number of shared slices along each axis.
    """
    if len(shared) < MIN_EXCLUSIVE_LABELS:
        return None
    counts = np.array(shared)  # (labels, 3)
    means = counts.mean(0)
    axis = int(means.argmin())
    # Structures that touch only at a corner share slices of no plane.
    others = np.median(np.delete(counts, axis, axis=1), axis=0)
    return axis if means[axis] <= MAX_SHARED_SLICES and others.min() > 0 else None


def planned_views(draft: Draft, fingerprint: Fingerprint) -> list[View]:
    """The slices that the draft cuts."""
    keys = ("plane", "spacing_mm", "longest_side")
    section = PreprocessingSection.model_validate(
        {key: draft[f"preprocessing.{key}"] for key in keys}
    )
    return views_of(fingerprint.cases, section)


def extents_and_sizes(
    draft: Draft, fingerprint: Fingerprint
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows and columns of the structures (95th percentile) and of the slices (median)."""
    views = planned_views(draft, fingerprint)
    labelled = [view for view in views if max(view.extent) > 0]
    extents = _percentiles([view.extent for view in labelled], 95)
    return extents, _percentiles([view.size for view in views], 50)


def _side(extent: float, size: float, largest: int) -> int:
    wanted = min(max(WINDOW_MARGIN * extent, MIN_WINDOW), size)
    return min(math.ceil(wanted / WINDOW_STEP) * WINDOW_STEP, largest)


def _percentiles(pairs: Sequence[tuple[float, float]], percent: float) -> tuple[float, float]:
    rows, columns = np.percentile(np.array(pairs), percent, axis=0)
    return float(rows), float(columns)
