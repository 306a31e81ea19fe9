"""Fingerprints of scans, by which copies and near copies are recognised."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from slicewise.imaging.volume import Volume

BLOCKS = 16
"""Blocks along each axis of a signature."""
_BLOCKS_OF_AN_IMAGE = 48
_SMOOTHED_BLOCKS = 2.0
_SYMMETRIC = 1e-9


@dataclass(frozen=True, slots=True)
class Digests:
    """Checksums of the voxels of a scan, the same for every storage order, header and data type.

    Attributes:
        voxels: of the intensities as float32.
        order: of which of two neighbouring voxels is brighter; rescaling does not change it.
            That of the voxels for a volume of a single value.
    """

    voxels: str
    order: str


def digests(volume: Volume) -> Digests:
    """Checksums of a scan or label map.

    Axes are ordered and reversed by the distribution of the intensities, not by the header: a copy
    whose header was changed or lost has the same voxels.
    """
    voxels = _by_content(volume.voxels)
    stored, order = hashlib.sha256(), hashlib.sha256()
    for digest in (stored, order):
        digest.update(repr(voxels.shape).encode())
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.ascontiguousarray(voxels, dtype=np.float32)
        stored.update(values.data)
        for axis in range(3):
            ahead = np.moveaxis(values, axis, 0)
            order.update(np.packbits(ahead[1:] > ahead[:-1]).data)
    is_flat = bool((values == values.flat[0]).all())
    return Digests(stored.hexdigest(), stored.hexdigest() if is_flat else order.hexdigest())


def signature(volume: Volume) -> str:
    """Coarse structure of a scan: similar for scans of one person, unlike for others.

    Means of ``BLOCKS`` blocks along each axis in RAS order, without their smooth part, as a vector
    of norm 1, as text. It has the same length for scans of any size, and another one for images.
    """
    upright = volume.reoriented("RAS").voxels
    is_image = 1 in upright.shape
    means = np.nan_to_num(upright.astype(np.float32))
    for axis, size in enumerate(upright.shape):
        if size > 1:
            means = _block_means(means, axis, _BLOCKS_OF_AN_IMAGE if is_image else BLOCKS)
    smooth = gaussian_filter(means, [_SMOOTHED_BLOCKS if size > 1 else 0 for size in means.shape])
    detail = (means - smooth).ravel().astype(np.float64)
    detail -= detail.mean()
    norm = float(np.linalg.norm(detail))
    unit = detail / norm if norm > 0 else detail
    return base64.b64encode(unit.astype("<f2").tobytes()).decode()


def vector_of(text: str) -> NDArray[np.float32]:
    """The vector of a signature."""
    return np.frombuffer(base64.b64decode(text), dtype="<f2").astype(np.float32)


def _block_means(values: NDArray[np.float32], axis: int, blocks: int) -> NDArray[np.float32]:
    size = values.shape[axis]
    starts = np.arange(blocks) * size // blocks
    if size < blocks:
        return np.asarray(np.take(values, starts, axis=axis))
    lengths = np.diff(np.append(starts, size))
    sums = np.add.reduceat(values, starts, axis=axis)
    return np.asarray(sums / np.expand_dims(lengths, [a for a in range(3) if a != axis]))


def _by_content(voxels: NDArray[Any]) -> NDArray[Any]:
    """Axes in the order of size and spread, each from its brighter end."""
    finite = np.nan_to_num(voxels, posinf=0, neginf=0) if voxels.dtype.kind == "f" else voxels
    lowest = float(finite.min())
    keys = []
    for axis, size in enumerate(voxels.shape):
        others = tuple({0, 1, 2} - {axis})
        count = voxels.size // size
        weights = finite.sum(axis=others, dtype=np.float64) - lowest * count
        centre, spread = _moments(weights)
        # Rounded, because sums in another order differ in their last digits.
        keys.append((size, round(spread, 6), round(abs(centre), 6)))
        if centre > _SYMMETRIC:
            voxels = np.flip(voxels, axis)
    axes = sorted(range(3), key=lambda axis: keys[axis])
    return voxels.transpose(axes)


def _moments(weights: NDArray[np.float64]) -> tuple[float, float]:
    """Centre of weights, from the middle, and their variance around it."""
    total = float(weights.sum())
    if total <= 0:
        return 0.0, 0.0
    places = np.arange(len(weights)) - (len(weights) - 1) / 2
    centre = float((places * weights).sum() / total)
    return centre, float(((places - centre) ** 2 * weights).sum() / total)
