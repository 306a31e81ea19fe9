"""Probabilities of a whole scan in bounded memory: summed in place, read a slab at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, overload

import numpy as np
import torch
from numpy.typing import NDArray

from slicewise.dataset.native_grid import Box, NativeGrid
from slicewise.imaging.volume import Volume

_LARGE_BYTES = 2**30
"""Of sums in float32; larger ones take 16 bits a number."""
_SLAB_NUMBERS = 4_000_000
"""Of all classes; half a dozen arrays of this size are in memory at a time."""
_WHOLE_PLANE = slice(None), slice(None)
Slab = tuple[slice, NDArray[np.float32]]
"""Rows of the first axis of a scan, and the probabilities (K, x, Y, Z) of all classes in them."""


class ProbabilitySums:
    """Running sums of the probabilities of a scan over planes, mirror images and networks.

    The background is what the structures leave of 1, and is not summed. Sums of more than 1 GiB in
    float32 are kept in 16 bits: each probability is then rounded to one of 65,535 / N equal steps,
    where N is the number of summands.

    Args:
        classes: number of channels of the networks.
        shape: of the preprocessed scan, (X, Y, Z).
        summands: that each voxel gets.
    """

    def __init__(self, classes: int, shape: Sequence[int], summands: int) -> None:
        self._summands = summands
        self._steps: int | None = None
        self._first = 0 if classes == 1 else 1
        size = (classes - self._first, *shape)
        if np.prod(size, dtype=np.int64) * 4 > _LARGE_BYTES:
            self._steps = 65_535 // summands
        self._sums = np.zeros(size, np.float32 if self._steps is None else np.uint16)

    def add(self, axis: int, first: int, probabilities: torch.Tensor) -> None:
        """Add neighbouring slices.

        Args:
            axis: along which the scan was cut.
            first: number of the first slice.
            probabilities: (D, K, H, W), on the CPU.
        """
        values = probabilities[:, self._first :].numpy()
        if self._steps is not None:
            values = np.rint(values * self._steps).astype(np.uint16)
        slices = np.moveaxis(self._sums, axis + 1, 0)  # (D, K, H, W)
        slices[first : first + len(values)] += values

    def mean(self, box: Box) -> NDArray[np.float32]:
        """Mean of the summands in a box, (structures, x, y, z)."""
        values = self._sums[(slice(None), *box)]
        return np.divide(values, self._summands * (self._steps or 1), dtype=np.float32)

    def classes(self) -> NDArray[np.uint8]:
        """The most probable class of each voxel, (X, Y, Z)."""
        found = np.empty(self._sums.shape[1:], np.uint8)
        for rows, place in enumerate(found):
            values = torch.from_numpy(self.mean((slice(rows, rows + 1), *_WHOLE_PLANE)))
            place[...] = _with_background(values).numpy().argmax(0)[0]
        return found


class _Source(Protocol):
    """Where probabilities come from."""

    @property
    def classes(self) -> int:
        """Number of classes, the background being one."""

    def slabs(self) -> Iterator[Slab]:
        """All slabs, from the first row to the last."""


class ProbabilityMaps(Sequence[Volume]):
    """The probabilities of a scan on its own grid: a map of the background, then one a structure.

    A map is computed when it is asked for; what needs all maps at once reads them by slabs.

    Args:
        grid: of the scan.
        source: of the probabilities.
    """

    def __init__(self, grid: Volume, source: _Source) -> None:
        self.grid = grid
        self._source = source

    @classmethod
    def of(cls, grid: Volume, probabilities: NDArray[np.floating]) -> ProbabilityMaps:
        """Maps that are in memory, shape (K, X, Y, Z), background first."""
        return cls(grid, _Array(probabilities))

    def slabs(self) -> Iterator[Slab]:
        """All slabs, from the first row to the last."""
        return self._source.slabs()

    def __len__(self) -> int:
        return self._source.classes

    @overload
    def __getitem__(self, place: int) -> Volume: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Volume, ...]: ...

    def __getitem__(self, place: int | slice) -> Volume | tuple[Volume, ...]:
        if isinstance(place, int):
            (found,) = self._maps([range(len(self))[place]])
            return found
        return tuple(self._maps(range(len(self))[place]))

    def __iter__(self) -> Iterator[Volume]:
        return iter(self[:])

    def _maps(self, places: Sequence[int]) -> list[Volume]:
        maps: list[NDArray[np.float32]] = []
        for rows, values in self.slabs():
            if values.shape[1:] == self.grid.shape:
                maps = [values[place] for place in places]
                break
            maps = maps or [np.empty(self.grid.shape, np.float32) for _ in places]
            for found, place in zip(maps, places, strict=True):
                found[rows] = values[place]
        return [self.grid.with_voxels(found) for found in maps]


@dataclass(frozen=True)
class _Array:
    """Probabilities (K, X, Y, Z) that are in memory."""

    probabilities: NDArray[np.floating]

    @property
    def classes(self) -> int:
        return len(self.probabilities)

    def slabs(self) -> Iterator[Slab]:
        yield slice(0, self.probabilities.shape[1]), self.probabilities


@dataclass(frozen=True)
class SeenScan:
    """Sums of networks with one preprocessing, and the way back from its grid.

    Attributes:
        sums: of these networks.
        grid: the way back.
        weight: share of these networks among all.
    """

    sums: ProbabilitySums
    grid: NativeGrid
    weight: float


class SummedProbabilities:
    """Probabilities of a scan, from sums on the grids of its preprocessings.

    Args:
        seen: a scan as networks have seen it; their weights have the sum 1.
        classes: number of structures and the background.
        temperature: of the calibration, see ``with_temperature``.
    """

    def __init__(self, seen: Sequence[SeenScan], classes: int, temperature: float) -> None:
        self.seen = seen
        self.classes = classes
        self.temperature = temperature
        self._whole: Slab | None = None

    def slabs(self) -> Iterator[Slab]:
        """All slabs, from the first row to the last; a scan that is one slab is kept."""
        if self._whole is not None:
            yield self._whole
            return
        rows, *plane = self.seen[0].grid.shape
        step = max(1, _SLAB_NUMBERS // (self.classes * int(np.prod(plane))))
        for start in range(0, rows, step):
            span = slice(start, min(start + step, rows))
            slab = span, self._slab(span)
            if step >= rows:
                self._whole = slab
            yield slab

    def _slab(self, rows: slice) -> NDArray[np.float32]:
        first, *more = (item.weight * item.grid.slab(item.sums.mean, rows) for item in self.seen)
        probabilities = _with_background(torch.from_numpy(sum(more, start=first)))
        return with_temperature(probabilities, self.temperature).numpy()


def with_temperature(probabilities: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divide the logarithms of probabilities by a temperature; the most probable class stays.

    Args:
        probabilities: shape (K, ...), with a sum of 1 over the K classes.
        temperature: above 1 makes them less sure, below 1 surer.

    Returns:
        Of the same shape and sum; at temperature 1 the very same tensor.

    Source:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    if temperature == 1:
        return probabilities
    return torch.softmax(probabilities.log() / temperature, dim=0)


def _with_background(structures: torch.Tensor) -> torch.Tensor:
    """(K, x, Y, Z) with the background first, as what the structures leave of 1."""
    return torch.cat([(1 - structures.sum(0, keepdim=True)).clamp(min=0), structures])
