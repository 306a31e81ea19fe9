"""Splits the slices of DICOM series into volumes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

import numpy as np

from slicewise.errors import GeometryError
from slicewise.imaging.dicom.grid import COSINE_TOLERANCE, slots
from slicewise.imaging.dicom.slice_header import SliceHeader

Stack = list[SliceHeader]
Digests = Callable[[Sequence[tuple[Path, int]]], list[str]]


def stacks(slices: Iterable[SliceHeader]) -> list[Stack]:
    """Group slices by series, patient, contrast and orientation."""
    families: dict[tuple[object, ...], Stack] = defaultdict(list)
    for one in slices:
        # Anonymised data may share one series identifier among patients.
        families[one.series_number or 0, one.series_uid, one.patient_id, one.kind].append(one)
    return [stack for key in sorted(families) for stack in _by_orientation(families[key])]


def volumes_of(stack: Stack, digests: Digests) -> tuple[list[Stack], tuple[str, ...]]:
    """Split a stack whose positions repeat into volumes in which they do not.

    Args:
        stack: slices of one series, contrast and orientation.
        digests: computes checksums of the pixels of frames, given as file and frame; called only
            if nothing else distinguishes repetitions.

    Returns:
        The volumes, in temporal order if there is one; and warnings.

    Raises:
        GeometryError: a position repeats, and the headers do not explain why.
    """
    distinguished = _distinguished(stack)
    if distinguished and not (distinguished[1] and _are_equal(distinguished[0][:2], digests)):
        return distinguished
    # Only now, because different repetitions can have equal pixels, such as empty slices.
    kept, warnings = _without_copies(stack, digests)
    distinguished = _distinguished(kept)
    if distinguished is None:
        raise _repeats(kept)
    volumes, more = distinguished
    return volumes, (*warnings, *more)


def by_size(stack: Stack) -> list[Stack]:
    """Split a stack by the size of its images.

    Raises:
        GeometryError: a single slice differs from the others.
    """
    sizes: dict[tuple[int, int], Stack] = defaultdict(list)
    for one in stack:
        sizes[one.rows, one.columns].append(one)
    if len(sizes) == 1:
        return [stack]
    for (rows, columns), members in sizes.items():
        if len(members) == 1:
            # A slice of another size may be the last one of the stack, which would be incomplete.
            raise GeometryError(
                f"{members[0].path}: Rows, Columns",
                expected="the size of the other slices of this series",
                found=f"{rows} x {columns}",
                remedy="remove the slice if it is of another series, or export the series again",
            )
    return [sizes[size] for size in sorted(sizes)]


def _by_orientation(family: Stack) -> list[Stack]:
    groups: list[Stack] = []
    for one in sorted(family, key=lambda one: (one.orientation, one.position_mm)):
        for group in groups:
            difference = np.subtract(group[0].orientation, one.orientation)
            # Not rounded, because noise could split one stack into two.
            if np.abs(difference).max() <= COSINE_TOLERANCE:
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def _are_equal(volumes: Sequence[Stack], digests: Digests) -> bool:
    """Whether two volumes are copies of each other."""
    first, second = (
        digests([(one.path, one.frame) for one in sorted(volume, key=_place)]) for volume in volumes
    )
    return first == second


def _place(one: SliceHeader) -> tuple[float, ...]:
    return one.position_mm


def _distinguished(stack: Stack) -> tuple[list[Stack], tuple[str, ...]] | None:
    volumes = _volumes_by_header(stack)
    if volumes:
        return volumes, ()
    volumes = _by_instance_number(stack)
    if volumes:
        return volumes, (f"{len(volumes)} volumes are distinguished by instance number only",)
    return None


def _volumes_by_header(stack: Stack) -> list[Stack] | None:
    numbers = slots(stack)
    if len(set(numbers)) == len(stack):
        return [stack]
    for tag in range(len(stack[0].moments)):
        volumes = _complete_parts(stack, numbers, [one.moments[tag] for one in stack])
        if volumes:
            return volumes
    together = [one.moments for one in stack]
    return _complete_parts(stack, numbers, together) or _by_trigger_time(stack, numbers)


def _complete_parts(
    stack: Stack, numbers: list[int], keys: Sequence[Hashable]
) -> list[Stack] | None:
    """Parts of equal key, if each of them has every position exactly once."""
    parts: dict[Hashable, list[tuple[int, SliceHeader]]] = defaultdict(list)
    for key, number, one in zip(keys, numbers, stack, strict=True):
        parts[key].append((number, one))
    everywhere = sorted(set(numbers))
    if any(sorted(number for number, _ in part) != everywhere for part in parts.values()):
        return None
    volumes = [[one for _, one in part] for part in parts.values()]
    return sorted(volumes, key=_moment_of_volume)


def _moment_of_volume(volume: Stack) -> tuple[object, ...]:
    earliest = min(one.instance_number or 0 for one in volume)
    return earliest, volume[0].moments


def _by_trigger_time(stack: Stack, numbers: list[int]) -> list[Stack] | None:
    """Cardiac phases: trigger times differ between slices, but their order is the same."""
    times = [one.trigger_time_ms for one in stack]
    if any(time is None for time in times):
        return None
    return _by_rank(stack, numbers, [float(time) for time in times if time is not None])


def _by_instance_number(stack: Stack) -> list[Stack] | None:
    """Repetitions in the order of their instance numbers, if that is unambiguous."""
    instances = [one.instance_number for one in stack]
    known = [number for number in instances if number is not None]
    if len(set(known)) < len(stack):
        return None
    numbers = slots(stack)
    sequence = [number for _, number in sorted(zip(known, numbers, strict=True))]
    repetitions = len(stack) // len(set(numbers))
    positions = len(set(numbers))
    volume_by_volume = all(
        len(set(sequence[start : start + positions])) == positions
        for start in range(0, len(sequence), positions)
    )
    position_by_position = all(
        len(set(sequence[start : start + repetitions])) == 1
        for start in range(0, len(sequence), repetitions)
    )
    if not (volume_by_volume or position_by_position):
        return None
    return _by_rank(stack, numbers, [float(number) for number in known])


def _by_rank(stack: Stack, numbers: list[int], values: list[float]) -> list[Stack] | None:
    """The n-th slices of all positions as volume n; None if their counts differ."""
    positions: dict[int, list[tuple[float, SliceHeader]]] = defaultdict(list)
    for number, value, one in zip(numbers, values, stack, strict=True):
        positions[number].append((value, one))
    if len({len(members) for members in positions.values()}) != 1:
        return None
    for members in positions.values():
        if len({value for value, _ in members}) < len(members):
            return None
        members.sort(key=lambda member: member[0])
    return [[one for _, one in rank] for rank in zip(*positions.values(), strict=True)]


def _without_copies(stack: Stack, digests: Digests) -> tuple[Stack, tuple[str, ...]]:
    numbers = slots(stack)
    counts = Counter(numbers)
    repeated = [(one, n) for one, n in zip(stack, numbers, strict=True) if counts[n] > 1]
    repeated.sort(key=lambda pair: (pair[0].instance_number or 0, str(pair[0].path)))
    checksums = digests([(one.path, one.frame) for one, _ in repeated])
    seen: set[tuple[object, ...]] = set()
    copies: set[tuple[Path, int]] = set()
    for (one, number), checksum in zip(repeated, checksums, strict=True):
        identity = (number, checksum, one.rescale, one.voxel_type, one.rows, one.columns)
        if identity in seen:
            copies.add((one.path, one.frame))
        seen.add(identity)
    if not copies:
        return stack, ()
    text = f"{len(copies)} duplicate slices with equal pixels were excluded"
    return [one for one in stack if (one.path, one.frame) not in copies], (text,)


def _repeats(stack: Stack) -> GeometryError:
    numbers = slots(stack)
    counts = Counter(numbers)
    number, count = next((n, count) for n, count in sorted(counts.items()) if count > 1)
    where = next(one for one, n in zip(stack, numbers, strict=True) if n == number)
    return GeometryError(
        f"{where.path}: ImagePositionPatient",
        expected="each position once, or repetitions that the headers distinguish",
        found=f"{count} different images at one position, and {len(stack)} images "
        f"at {len(counts)} positions",
        remedy="remove images of other series, or export the series again",
    )
