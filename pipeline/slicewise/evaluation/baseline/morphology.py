"""Smooths rough masks: opening and closing, the largest connected component, watershed edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slicewise.evaluation.baseline.scans import Mask, NormalizedScan, as_bytes

_RADII = (0, 1, 2)
_MARGIN = 2 * max(_RADII) + 1
_BACKGROUND, _STRUCTURE = 1, 2


@dataclass(frozen=True)
class Morphology:
    """What is done to a mask, in this order; radii in voxels within a slice, 0 leaves a step out.

    Attributes:
        opening: radius below which bridges and specks vanish.
        closing: radius below which gaps and holes are filled.
        is_largest: whether only the largest connected component is kept, in three dimensions.
        watershed: half-width of the band about the edge in which the watershed finds a new one.
    """

    opening: int = 0
    closing: int = 0
    is_largest: bool = False
    watershed: int = 0


MORPHOLOGIES = tuple(Morphology(*steps) for steps in product(_RADII, _RADII, (False, True), _RADII))


def morphed(mask: Mask, scan: NormalizedScan, morphology: Morphology) -> Mask:
    """Apply the steps to a mask of shape (X, Y, Z), slice by slice."""
    return next(item for _, item in all_morphed(mask, scan, (morphology,)))


def all_morphed(
    mask: Mask, scan: NormalizedScan, morphologies: tuple[Morphology, ...] = MORPHOLOGIES
) -> Iterator[tuple[Morphology, Mask]]:
    """Apply several ways, each step of them once; masks have the shape of ``mask``."""
    box = _box(mask, scan.axis)
    picture = _picture(scan, box)
    small = np.moveaxis(mask[box], scan.axis, 0)  # (D, H, W)
    done: dict[Morphology, NDArray[np.uint8]] = {
        Morphology(): np.ascontiguousarray(small, np.uint8)
    }
    for morphology in morphologies:
        whole = np.zeros_like(mask)
        whole[box] = np.moveaxis(_steps(morphology, done, picture), 0, scan.axis)
        yield morphology, whole


def _steps(
    morphology: Morphology, done: dict[Morphology, NDArray[np.uint8]], picture: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The last step of a morphology upon what the others left, which is remembered."""
    if morphology in done:
        return done[morphology]
    opening, closing, is_largest = morphology.opening, morphology.closing, morphology.is_largest
    if morphology.watershed:
        before = _steps(Morphology(opening, closing, is_largest), done, picture)
        after = _flooded(before, picture, morphology.watershed)
    elif is_largest:
        after = _largest_component(_steps(Morphology(opening, closing), done, picture))
    elif closing:
        after = _morphology(_steps(Morphology(opening), done, picture), cv2.MORPH_CLOSE, closing)
    else:
        after = _morphology(done[Morphology()], cv2.MORPH_OPEN, opening)
    done[morphology] = after
    return after


def _morphology(mask: NDArray[np.uint8], operation: int, radius: int) -> NDArray[np.uint8]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.stack([np.asarray(cv2.morphologyEx(item, operation, disc)) for item in mask])


def _largest_component(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # OpenCV connects pixels of a picture only; a structure goes on through its slices.
    components, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(components.ravel())[1:]
    return np.asarray(components == sizes.argmax() + 1, dtype=np.uint8)


def _flooded(mask: NDArray[np.uint8], picture: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """New edges within a band: from the core outwards and from the background inwards."""
    cores = _morphology(mask, cv2.MORPH_ERODE, radius)
    reached = _morphology(mask, cv2.MORPH_DILATE, radius)
    result = mask.copy()
    for number, (core, outer) in enumerate(zip(cores, reached, strict=True)):
        # Without a core nothing would be left of a thin part.
        if not core.any() or outer.all():
            continue
        markers = np.where(core > 0, _STRUCTURE, np.where(outer > 0, 0, _BACKGROUND))
        found = np.asarray(cv2.watershed(picture[number], markers.astype(np.int32)))
        # OpenCV marks the line between two basins, and the frame of the picture, with -1.
        result[number] = np.where(found == -1, mask[number], found == _STRUCTURE)
    return result


def _box(mask: Mask, axis: int) -> tuple[slice, ...]:
    """The part of a scan that a mask can reach; as little as possible of an empty one."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return (slice(0, 1),) * 3
    margins = [0 if other == axis else _MARGIN for other in range(3)]
    return tuple(
        slice(max(side.start - margin, 0), min(side.stop + margin, size))
        for side, margin, size in zip(found[0], margins, mask.shape, strict=True)
    )


def _picture(scan: NormalizedScan, box: tuple[slice, ...]) -> NDArray[np.uint8]:
    """Slices as OpenCV's watershed wants them, (D, H, W, 3): the first three contrasts."""
    contrasts: list[NDArray[Any]] = [as_bytes(item[box]) for item in scan.contrasts[:3]]
    three = [contrasts[number % len(contrasts)] for number in range(3)]
    return np.ascontiguousarray(np.moveaxis(np.stack(three, axis=-1), scan.axis, 0))
