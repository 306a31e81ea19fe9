"""Scans as the baseline sees them: normalised contrasts in RAS, and what is measured on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.catalogue import Case
from slicewise.dataset.plane import slice_axis, spacing_of
from slicewise.imaging.scan import read_scan
from slicewise.imaging.volume import Volume

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_FRACTION = 2.0**20
# Of the foreground voxels, left out at either end of an axis: specks of noise make no box.
_OUTSIDE_BOX = 0.005


@dataclass(frozen=True)
class NormalizedScan:
    """A scan as the preprocessing leaves it.

    Attributes:
        contrasts: shape (C, X, Y, Z), axes in RAS order and direction.
        spacing_mm: of the three axes.
        axis: axis of the slices.
    """

    contrasts: Floats
    spacing_mm: tuple[float, float, float]
    axis: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        x, y, z = self.contrasts.shape[1:]
        return x, y, z


@dataclass(frozen=True)
class TrainingCase:
    """A cached case with the geometry that its slices do not have.

    Attributes:
        cached: its slices and classes.
        spacing_mm: of the preprocessed volume in RAS.
        axis: axis of the slices.
    """

    cached: CachedCase
    spacing_mm: tuple[float, float, float]
    axis: int

    @property
    def name(self) -> str:
        """Name of the case."""
        return self.cached.name

    @property
    def patient(self) -> str:
        """Whose it is."""
        return self.cached.patient

    @classmethod
    def located(cls, cached: CachedCase, case: Case, config: Config) -> TrainingCase:
        """Read the geometry of a cached case from its source.

        Raises:
            ScanError: the scan cannot be read any more.
        """
        grid = read_scan(case.images[0], config.reading)
        axis = slice_axis(grid, config.preprocessing)
        spacing_mm = preprocessed_spacing_mm(grid, axis, config)
        # A copy has not mapped its arrays, and so travels lightly to a worker.
        return cls(replace(cached), spacing_mm, axis)

    def scan(self) -> NormalizedScan:
        """The contrasts of all slices, put back together."""
        volume = np.moveaxis(self.cached.image, 0, self.axis + 1)  # (C, X, Y, Z)
        contrasts = np.ascontiguousarray(volume, dtype=np.float32)
        return NormalizedScan(contrasts, self.spacing_mm, self.axis)

    def structures(self, count: int) -> Mask:
        """Where each structure is, (K, X, Y, Z), in the order of the configuration."""
        classes = np.moveaxis(self.cached.label, 0, self.axis)  # (X, Y, Z)
        return np.stack([classes == number + 1 for number in range(count)])


def preprocessed_spacing_mm(grid: Volume, axis: int, config: Config) -> tuple[float, float, float]:
    """Spacing that the preprocessing leaves of a scan, in RAS, that is cut along ``axis``."""
    upright = grid.reoriented("RAS")
    x, y, z = spacing_of(config.preprocessing, axis, upright.shape, upright.spacing_mm)
    return x, y, z


def as_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Values stretched to 0 to 255, as OpenCV's Otsu and watershed want them."""
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / max(high - low, 1e-9))
    return np.ascontiguousarray(scaled.round().astype(np.uint8))


def foreground_box(scan: NormalizedScan) -> NDArray[np.float64]:
    """First and last index of what is bright, by Otsu's threshold; shape (2, 3)."""
    grey = as_bytes(scan.contrasts.mean(axis=0))
    flat = grey.reshape(len(grey), -1)
    _, bright = cv2.threshold(flat, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    inside = np.asarray(bright, dtype=np.bool_).reshape(grey.shape)
    if not inside.any():
        return whole_box(scan)
    box = np.zeros((2, 3))
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        share = np.cumsum(inside.sum(axis=others)) / inside.sum()
        box[:, axis] = np.searchsorted(share, (_OUTSIDE_BOX, 1 - _OUTSIDE_BOX))
    return box


def whole_box(scan: NormalizedScan) -> NDArray[np.float64]:
    """First and last index of the grid, shape (2, 3)."""
    return np.array([[0, 0, 0], np.array(scan.shape) - 1], dtype=np.float64)


def exact(values: NDArray[Any]) -> NDArray[np.float64]:
    """Values as binary fractions, whose sum is the same in whatever order they are added."""
    rounded: NDArray[np.float64] = np.rint(values.astype(np.float64) * _FRACTION) / _FRACTION
    return rounded
