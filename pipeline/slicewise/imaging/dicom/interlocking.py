"""Joins DICOM stacks that interlock: together their slices form one regular grid."""

from __future__ import annotations

from collections.abc import Sequence

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
    joined: list[Stack] = []
    remaining = list(stacks)
    while remaining:
        first, *others = remaining
        parts = [stack for stack in others if _belong_together(first, stack)]
        union = [one for stack in (first, *parts) for one in stack]
        if parts and _is_regular(union, digests):
            joined.append(union)
            remaining = [stack for stack in others if not any(stack is part for part in parts)]
        else:
            joined.append(first)
            remaining = others
    return joined


def _belong_together(stack: Stack, other: Stack) -> bool:
    one, two = stack[0], other[0]
    difference = np.subtract(one.orientation, two.orientation)
    return (
        (one.patient_id, one.kind[:-1]) == (two.patient_id, two.kind[:-1])
        and (one.rows, one.columns) == (two.rows, two.columns)
        and bool(np.abs(difference).max() <= COSINE_TOLERANCE)
        and _interlock(stack, other)
    )


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
