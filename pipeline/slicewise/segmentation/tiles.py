"""The sliding windows of one slice with their predictions, and how these are blended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from slicewise.dataset.preprocessing import to_slices
from slicewise.errors import UsageError
from slicewise.imaging.volume import Volume
from slicewise.lean_monai import compute_importance_map
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.sliding_window import Places, classes_of, predict_slices


@dataclass(frozen=True)
class Tile:
    """One window.

    Attributes:
        top: its first row in the slice.
        left: its first column in the slice.
        probabilities: shape (K, h, w).
    """

    top: int
    left: int
    probabilities: torch.Tensor

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Most probable class of each pixel, shape (h, w)."""
        return _classes(self.probabilities)


@dataclass(frozen=True)
class TiledSlice:
    """A preprocessed slice in RAS with its windows: rows along the first axis that remains.

    Attributes:
        picture: normalised intensities of the first contrast, shape (H, W); where a slice is
            narrower than the window, with its edges repeated, as in inference.
        spacing_mm: between rows and between columns.
        tiles: windows in the order of inference.
        weights: of the pixels of a window in the blending, shape (h, w), 1 at most.
        probabilities: after the blending, shape (K, H, W).
    """

    picture: NDArray[np.float32]
    spacing_mm: tuple[float, float]
    tiles: tuple[Tile, ...]
    weights: NDArray[np.float32]
    probabilities: torch.Tensor

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Most probable class of each pixel after the blending, shape (H, W)."""
        return _classes(self.probabilities)


def tile_slice(predictor: Predictor, *contrasts: Volume) -> TiledSlice:
    """Predict the slice of a scan with the most labelled pixels, and keep each window's prediction.

    The first network of an ensemble predicts, in the first of several planes.

    Raises:
        UsageError: the slices fit into the window, so that there is a single one.
    """
    member = predictor.members[0]
    preprocessing = predictor.preprocessing_of(member, contrasts[0])
    image, axis = preprocessing.from_volumes(contrasts)  # (C, X, Y, Z)
    slices = to_slices(image.as_tensor(), axis)  # (D, C, H, W)
    config = member.config
    _require_larger(slices, config.network.window, contrasts[0].name)
    slices = _filling(slices, config.network.window)
    network, context = member.network, config.network.context_slices
    stack = slices.movedim(1, 0)  # (C, D, H, W)
    everything = predict_slices(network, stack, 0, config, predictor.device)  # (D, K, H, W)
    number = int(classes_of(everything).count_nonzero((1, 2)).argmax())
    # The slice with its context; at the ends of a scan there are fewer neighbours.
    first = max(number - context, 0)
    near = range(first, min(number + context + 1, len(slices)))
    tiles: list[Tile] = []

    def keep(places: Places, predicted: torch.Tensor) -> None:
        for (which, _, rows, columns), said in zip(places, predicted, strict=True):
            if which.start == number - first:
                # The blending multiplies in place.
                tiles.append(Tile(rows.start, columns.start, said.cpu().clone()))

    blended = predict_slices(network, stack, 0, config, predictor.device, keep, near)
    weights = compute_importance_map(config.network.window, mode="gaussian")
    in_plane = [other for other in range(3) if other != axis]
    row_mm, column_mm = np.linalg.norm(np.asarray(image.affine)[:3, :3], axis=0)[in_plane]
    return TiledSlice(
        slices[number, 0].numpy(),
        (float(row_mm), float(column_mm)),
        tuple(tiles),
        (weights / weights.max()).numpy(),
        blended[number - first],
    )


def _classes(probabilities: torch.Tensor) -> NDArray[np.uint8]:
    classes: NDArray[np.uint8] = classes_of(probabilities[None])[0].numpy()
    return classes


def _require_larger(slices: torch.Tensor, window: tuple[int, int], name: str) -> None:
    height, width = slices.shape[2:]
    if height <= window[0] and width <= window[1]:
        raise UsageError(
            name,
            expected=f"slices larger than the window of {window[0]} x {window[1]} pixels",
            found=f"{height} x {width}",
            remedy="give a larger scan, or a model with a smaller network.window",
        )


def _filling(slices: torch.Tensor, window: tuple[int, int]) -> torch.Tensor:
    """Slices as large as the window, their edges repeated as MONAI's inferer does it."""
    sides: list[int] = []
    for size, wanted in zip(slices.shape[:1:-1], window[::-1], strict=True):
        missing = max(wanted - size, 0)
        sides += [missing // 2, missing - missing // 2]
    return functional.pad(slices, sides, mode="replicate")
