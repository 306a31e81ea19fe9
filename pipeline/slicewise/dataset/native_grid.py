"""The way back from the grid of the preprocessing to that of the scan, a slab at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from slicewise.imaging.volume import Affine, Volume
from slicewise.lean_monai import MetaTensor

_SAME_VOXELS = 1e-3
"""Voxels of two grids that are nowhere further apart are the same voxels."""

Box = tuple[slice, slice, slice]
ReadBox = Callable[[Box], NDArray[np.float32]]
"""Values (K, x, y, z) in a box of the preprocessed grid."""


@dataclass(frozen=True)
class NativeGrid:
    """The grid of a scan, and where its voxels lie among the preprocessed ones.

    Attributes:
        shape: of the scan, (X, Y, Z).
        to_resampled: (4, 4), voxel indices of the scan to those after resampling, before the crop.
        resampled_shape: shape after resampling.
        crop: box of the resampled grid that the crop has kept.
    """

    shape: tuple[int, ...]
    to_resampled: Affine
    resampled_shape: tuple[int, ...]
    crop: Box

    @classmethod
    def of(cls, scan: Volume, preprocessed: MetaTensor) -> Self:
        """The way back for a scan.

        Args:
            scan: as it was read.
            preprocessed: the same after ``Preprocessing``, shape (C, X, Y, Z).
        """
        kept = tuple(preprocessed.shape[1:])
        shape, start = kept, (0, 0, 0)
        for operation in preprocessed.applied_operations:
            if operation["class"] == "CropForeground":
                shape, start = operation["orig_size"], operation["extra_info"]["cropped"][::2]
        to_resampled = np.linalg.inv(np.asarray(preprocessed.affine, dtype=float)) @ scan.affine
        to_resampled[:3, 3] += start
        first, second, third = (slice(a, a + n) for a, n in zip(start, kept, strict=True))
        return cls(scan.shape, to_resampled, tuple(shape), (first, second, third))

    def whole(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """All values at once; see ``slab``."""
        return self.slab(lambda box: values[(slice(None), *box)], slice(0, self.shape[0]))

    def slab(self, read: ReadBox, rows: slice) -> NDArray[np.float32]:
        """Preprocessed values at the voxels of a slab of the scan.

        Args:
            read: the values in a box of the preprocessed grid.
            rows: of the first axis of the scan.

        Returns:
            (K, x, Y, Z). If the scan was resampled, interpolated linearly; beyond the outermost
            resampled voxels their values. 0 where the crop has taken voxels away.
        """
        axes = self._same_voxels()
        return self._interpolated(read, rows) if axes is None else self._copied(read, rows, axes)

    def _same_voxels(self) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Turn and shift of indices, in whole numbers; None if voxels lie between others."""
        turn, shift = np.rint(self.to_resampled[:3, :3]), np.rint(self.to_resampled[:3, 3])
        corners = np.array(list(product(*((0, size - 1) for size in self.shape))))
        off = corners @ (self.to_resampled[:3, :3] - turn).T + self.to_resampled[:3, 3] - shift
        turns_axes = (np.abs(turn).sum(0) == 1).all() and (np.abs(turn).sum(1) == 1).all()
        if not turns_axes or np.abs(off).max() > _SAME_VOXELS:
            return None
        return turn.astype(int), shift.astype(int)

    def _copied(
        self, read: ReadBox, rows: slice, axes: tuple[NDArray[Any], NDArray[Any]]
    ) -> NDArray[np.float32]:
        turn, shift = axes
        box, places, flips = [slice(0)] * 3, [], []
        order = np.abs(turn).argmax(0)  # axis of the resampled grid of each axis of the scan
        for axis, (span, along) in enumerate(zip(self._spans(rows), order, strict=True)):
            forward = turn[along, axis] > 0
            ends = turn[along, axis] * np.array([span.start, span.stop - 1]) + shift[along]
            start, stop = ends.min(), ends.max() + 1
            kept = self.crop[along]
            inside = slice(max(start, kept.start), max(min(stop, kept.stop), start, kept.start))
            box[along] = slice(inside.start - kept.start, inside.stop - kept.start)
            places.append(
                slice(inside.start - start, inside.stop - start)
                if forward
                else slice(stop - inside.stop, stop - inside.start)
            )
            flips.append(slice(None, None, 1 if forward else -1))
        values = read((box[0], box[1], box[2]))
        values = values.transpose(0, *(1 + order))[(slice(None), *flips)]
        if values.shape[1:] == self._size(rows):
            return values
        found = np.zeros((len(values), *self._size(rows)), np.float32)
        found[(slice(None), *places)] = values
        return found

    def _interpolated(self, read: ReadBox, rows: slice) -> NDArray[np.float32]:
        spans = self._spans(rows)
        indices = np.stack(
            np.meshgrid(*(np.arange(span.start, span.stop) for span in spans), indexing="ij"), -1
        )
        last = np.array(self.resampled_shape) - 1
        # Shape (x, Y, Z, 3).
        at = indices @ self.to_resampled[:3, :3].T + self.to_resampled[:3, 3]
        np.clip(at, 0, last, out=at)
        low = np.floor(at.min((0, 1, 2))).astype(int)
        high = np.minimum(np.floor(at.max((0, 1, 2))).astype(int) + 1, last)
        values = self._padded(read, low, high + 1)
        size = np.array(values.shape[1:])
        # From -1 to 1, in the order z, y, x.
        at -= low
        at *= 2 / np.maximum(size - 1, 1)
        at -= 1
        found = functional.grid_sample(
            torch.from_numpy(values.astype(np.float64))[None],
            torch.from_numpy(at[..., ::-1].copy())[None],
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )
        native: NDArray[np.float32] = found[0].float().numpy()
        return native

    def _padded(self, read: ReadBox, low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float32]:
        """Values of a box of the resampled grid, with zeros where the crop has left nothing."""
        inside, places = [], []
        for start, stop, kept in zip(low.tolist(), high.tolist(), self.crop, strict=True):
            first = max(start, kept.start)
            end = max(min(stop, kept.stop), first)
            inside.append(slice(first - kept.start, end - kept.start))
            places.append(slice(first - start, end - start))
        values = read((inside[0], inside[1], inside[2]))
        if values.shape[1:] == tuple(high - low):
            return values
        padded = np.zeros((len(values), *(high - low)), np.float32)
        padded[(slice(None), *places)] = values
        return padded

    def _spans(self, rows: slice) -> Box:
        return rows, slice(0, self.shape[1]), slice(0, self.shape[2])

    def _size(self, rows: slice) -> tuple[int, ...]:
        return rows.stop - rows.start, *self.shape[1:]
