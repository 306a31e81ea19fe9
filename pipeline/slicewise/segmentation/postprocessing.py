"""Post-processing of masks: removes connected components and fills holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, find_objects, generate_binary_structure, label

from slicewise.config import PostprocessingSection
from slicewise.imaging.volume import Volume

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

_NEIGHBOURS = generate_binary_structure(rank=3, connectivity=3)
"""Voxels of one component share a face, an edge or a corner, as in the metrics."""
_ROUNDING_VOXELS = 1e-6


def postprocess(
    mask: Volume, labels: Mapping[str, int], sections: Mapping[str, PostprocessingSection]
) -> Volume:
    """Clean the structures of a mask, one by one.

    First components are removed, which become background; then holes are filled, which are
    background that one structure encloses. Voxels of other structures stay unchanged. In a single
    slice, holes are enclosed within its plane.

    Args:
        mask: label values, shape (X, Y, Z).
        labels: structure to its value.
        sections: settings by structure; structures left out stay unchanged.

    Returns:
        A mask on the same grid; without any section, the mask that was given.
    """
    if not sections:
        return mask
    voxels = mask.voxels.copy()
    for name, section in sections.items():
        _drop_components(voxels, labels[name], section, mask.voxel_volume_ml)
    for name, section in sections.items():
        if section.fill_holes:
            _fill_holes(voxels, labels[name])
    return mask.with_voxels(voxels)


def _drop_components(
    voxels: NDArray[Any], value: int, section: PostprocessingSection, voxel_volume_ml: float
) -> None:
    """Turn unwanted components of a structure into background, in place."""
    box = _box(voxels == value)
    if box is None or not (section.largest_component or section.minimum_volume_ml):
        return
    inside = voxels[box]
    components, _ = label(inside == value, _NEIGHBOURS)
    sizes = np.bincount(components.ravel())  # the first counts what belongs to none
    dropped = sizes < section.minimum_volume_ml / voxel_volume_ml - _ROUNDING_VOXELS
    if section.largest_component:
        # Of equal ones the first.
        dropped |= np.arange(len(sizes)) != 1 + sizes[1:].argmax()
    dropped[0] = False
    inside[dropped[components]] = 0


def _fill_holes(voxels: NDArray[Any], value: int) -> None:
    """Add the background that a structure encloses to the structure, in place."""
    box = _box(voxels == value)
    if box is None:
        return
    single = tuple(axis for axis, size in enumerate(voxels.shape) if size == 1)
    inside = voxels[box]
    filled: Mask = np.expand_dims(binary_fill_holes((inside == value).squeeze(single)), single)
    inside[filled & (inside == 0)] = value


def _box(mask: Mask) -> Box | None:
    """The smallest box around a mask; None where it is empty."""
    boxes = find_objects(mask.view(np.uint8), max_label=1)
    found: Box | None = boxes[0]
    return found
