"""Joins DICOM stacks that interlock: together their slices form one regular grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from slicewise.config import ReadingSection
from slicewise.errors import ScanError
from slicewise.imaging.dicom.grid import COSINE_TOLERANCE, regular_grid, slots
from slicewise.imaging.dicom.splitting import Digests, Stack, volumes_of


def with_interlocking_joined(stacks: Sequence[Stack], digests: Digests) -> list[Stack]:
    """Join stacks that differ in their StackID only, and whose slices alternate.

    Args:
        stacks: of one series, each of one contrast and orientation.
        digests: as for ``volumes_of``.

    Returns:
        The stacks in their order, the joined ones in the place of their first.
    """
    # A series may have as many stacks as patients, so that each is compared with few others.
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for number, stack in enumerate(stacks):
        first = stack[0]
        alike[first.patient_id, first.kind[:-1], first.rows, first.columns].append(number)
    joined: dict[int, Stack] = {}
    for remaining in alike.values():
        while remaining:
            number, *others = remaining
            stack = stacks[number]
            parts = [other for other in others if _belong_together(stack, stacks[other])]
            union = [one for part in (number, *parts) for one in stacks[part]]
            if parts and _is_regular(union, digests):
                joined[number] = union
                remaining = [other for other in others if other not in parts]
            else:
                joined[number] = stack
                remaining = others
    return [joined[number] for number in sorted(joined)]


def _belong_together(stack: Stack, other: Stack) -> bool:
    difference = np.subtract(stack[0].orientation, other[0].orientation)
    return bool(np.abs(difference).max() <= COSINE_TOLERANCE) and _interlock(stack, other)


def _interlock(stack: Stack, other: Stack) -> bool:
    """Whether their extents overlap, although they share no position."""
    try:
        numbers = slots([*stack, *other])
    except ScanError:
        return False
    own, theirs = set(numbers[: len(stack)]), set(numbers[len(stack) :])
    return not own & theirs and min(own) < max(theirs) and min(theirs) < max(own)


def _is_regular(union: Stack, digests: Digests) -> bool:
    try:
        for volume in volumes_of(union, digests)[0]:
            regular_grid(volume, ReadingSection())
    except ScanError:
        return False
    return True
