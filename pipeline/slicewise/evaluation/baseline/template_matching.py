"""Aligns a template with scans: by their boxes, then by template matching.

The prior lives on a template: a small grid over a box. A frame says which voxel of a scan each
voxel of the template is; scans of any spacing and size have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from slicewise.evaluation.baseline.scans import Floats, NormalizedScan, foreground_box, whole_box

LARGEST_TEMPLATE = 64
"""Voxels of a template along an axis; priors are smooth."""
SEARCHED_SHARE = 1 / 12
"""Of the template: how far a match may move it to either side."""

_CORE_PRIOR = 0.05
_CORE_MARGIN = 3
_HALF = 0.5 + 1e-6

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Fit:
    """How a template is laid onto a scan.

    Attributes:
        box: what it covers: the whole grid, or the bright foreground.
        scale: stretched to the box, or kept in millimetres about its middle.
    """

    box: Literal["grid", "foreground"]
    scale: Literal["stretched", "millimetres"]

    def __str__(self) -> str:
        box = "grid" if self.box == "grid" else "bright foreground"
        return f"stretched to the {box}" if self.scale == "stretched" else f"centred on the {box}"


FITS = (Fit("grid", "stretched"), Fit("grid", "millimetres"), Fit("foreground", "stretched"))


@dataclass(frozen=True)
class Template:
    """The grid of a prior, over a box of the mean size of the training cases.

    Attributes:
        shape: voxels along R, A and S.
        spacing_mm: of these voxels.
    """

    shape: Shape
    spacing_mm: tuple[float, ...]

    @classmethod
    def over(cls, sizes: NDArray[Any], spacings_mm: NDArray[Any]) -> Template:
        """The template of the boxes of all cases, their voxels and spacings both (N, 3)."""
        voxels = np.clip(np.median(sizes, axis=0).round(), 1, LARGEST_TEMPLATE)
        x, y, z = (int(size) for size in voxels)
        return cls((x, y, z), tuple((sizes * spacings_mm).mean(axis=0) / voxels))


@dataclass(frozen=True)
class Frame:
    """Where a template lies in a scan.

    Attributes:
        start: (3,), index in the scan of the first voxel of the template.
        step: (3,), voxels of the scan that one voxel of the template takes.
    """

    start: NDArray[np.float64]
    step: NDArray[np.float64]

    def moved(self, shift: Sequence[int] | NDArray[Any]) -> Frame:
        """Moved by voxels of the template."""
        return Frame(self.start + np.asarray(shift) * self.step, self.step)

    def onto_template(self, values: NDArray[Any], shape: Shape, *, is_repeated: bool) -> Floats:
        """Values of a scan on the template, shapes (N, X, Y, Z) to (N, *shape).

        Args:
            values: of the scan.
            shape: of the template.
            is_repeated: whether the edge of the scan goes on outside of it; otherwise that is 0.
        """
        return _resampled(values, self, shape, is_repeated)

    def onto_scan(self, values: NDArray[Any], shape: Shape) -> Floats:
        """Values of the template on a scan, 0 outside; shapes (N, x, y, z) to (N, *shape)."""
        return _resampled(values, Frame(-self.start / self.step, 1 / self.step), shape, False)


def box_of(scan: NormalizedScan, fit: Fit) -> NDArray[np.float64]:
    """First and last index of what the template is laid onto, shape (2, 3)."""
    return foreground_box(scan) if fit.box == "foreground" else whole_box(scan)


def frame_of(scan: NormalizedScan, template: Template, fit: Fit) -> Frame:
    """Where the template lies before it is matched."""
    first, last = box_of(scan, fit)
    count = np.array(template.shape)
    if fit.scale == "stretched":
        step = (last - first + 1) / count
    else:
        step = np.array(template.spacing_mm) / np.array(scan.spacing_mm)
    return Frame((first + last) / 2 - step * (count - 1) / 2, step)


def matched(scan: NormalizedScan, frame: Frame, mean_scan: Floats, prior: Floats) -> Frame:
    """The frame moved to where the scan is most like the mean training scan.

    Only the part of the template is compared where structures may be; the normalised correlation
    of its slices decides.

    Args:
        scan: to be matched.
        frame: where the template lies so far.
        mean_scan: contrasts (C, x, y, z) on the template.
        prior: frequency of the structures, (K, x, y, z).
    """
    shape = np.array(prior.shape[1:])
    reach = np.rint(shape * SEARCHED_SHARE).astype(int)
    x, y, z = (int(size) for size in shape + 2 * reach)
    searched = frame.moved(-reach).onto_template(scan.contrasts, (x, y, z), is_repeated=True)
    # Slices across the shortest axis: OpenCV compares pictures, not volumes.
    through = int(shape.argmin())
    order = [axis for axis in range(3) if axis != through] + [through]
    core = _core(prior)
    start = np.array([core[axis].start for axis in order])
    fits = np.zeros(2 * reach[order] + 1)
    for image, mean in zip(searched, mean_scan, strict=True):
        fits += _fits(image.transpose(order), mean[core].transpose(order), start, reach[order])
    best = np.unravel_index(int(fits.argmax()), fits.shape)
    shift = np.zeros(3, dtype=int)
    shift[order] = np.array(best) - reach[order]
    return frame.moved(shift)


def _core(prior: Floats) -> tuple[slice, ...]:
    """The part of the template where structures may be, with a margin."""
    found = ndimage.find_objects((prior.max(axis=0) >= _CORE_PRIOR).astype(np.uint8))
    whole = tuple(slice(0, size) for size in prior.shape[1:])
    return tuple(
        slice(max(side.start - _CORE_MARGIN, 0), min(side.stop + _CORE_MARGIN, limit.stop))
        for side, limit in zip(found[0] if found else whole, whole, strict=True)
    )


def _fits(
    searched: Floats, pattern: Floats, start: NDArray[Any], reach: NDArray[Any]
) -> NDArray[np.float64]:
    """Correlation of every move, summed over the slices of the pattern.

    Args:
        searched: the scan around the template, (H, W, D), larger by ``reach`` on either side.
        pattern: part of the mean scan, (h, w, d).
        start: (3,), where that part begins in the template.
        reach: (3,), largest move along each axis.

    Returns:
        A value a move, shape ``2 * reach + 1``.
    """
    height, width, depth = np.array(pattern.shape) + 2 * reach
    row, column, first = start
    window = searched[row : row + height, column : column + width, first : first + depth]
    fits = np.zeros(2 * reach + 1)
    for place in range(pattern.shape[2]):
        part = np.ascontiguousarray(pattern[..., place])
        if np.ptp(part) == 0:
            continue
        for move in range(fits.shape[2]):
            image = np.ascontiguousarray(window[..., place + move])
            fit = cv2.matchTemplate(image, part, cv2.TM_CCOEFF_NORMED)
            # Where the scan is flat there is no correlation, and OpenCV divides by nothing.
            fits[..., move] += np.clip(np.nan_to_num(fit), -1, 1)
    return fits


def _resampled(values: NDArray[Any], frame: Frame, shape: Shape, is_repeated: bool) -> Floats:
    """Linear interpolation at the places of a frame, (N, X, Y, Z) to (N, *shape)."""
    result = np.stack(
        [
            ndimage.affine_transform(
                item.astype(np.float32, copy=False),
                frame.step,
                frame.start,
                output_shape=shape,
                order=1,
                mode="nearest",
            )
            for item in values
        ]
    )
    if is_repeated:
        return result
    for axis in range(3):
        place = frame.start[axis] + frame.step[axis] * np.arange(shape[axis])
        # The outermost voxels reach half their width beyond their middles.
        outside = (place < -_HALF) | (place > values.shape[axis + 1] - 1 + _HALF)
        np.moveaxis(result, axis + 1, 0)[outside] = 0
    return result
