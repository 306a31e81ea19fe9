"""Predicts the slices of a volume window by window, and blends the windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.coordinates import coordinates
from slicewise.dataset.preprocessing import to_slices
from slicewise.errors import ScanError
from slicewise.imaging.memory import is_out_of_memory, return_freed_memory
from slicewise.lean_monai import sliding_window_inference
from slicewise.segmentation.device import autocast, memory_format_of, resolve_precision
from slicewise.segmentation.probability_maps import ProbabilitySums


class NoFiniteLogitsError(ScanError):
    """A network answered a scan with NaN or infinite values, from which no mask can be made."""

    def of(self, scan: str, network: str) -> NoFiniteLogitsError:
        """The same error, with the names of the scan and of the checkpoint."""
        found = f"{self.found} by {network}"
        return type(self)(scan, expected=self.expected, found=found, remedy=self.remedy)


_BATCHES_UNTIL_TIDIED = 16
Places = Sequence[Sequence[slice]]
"""Of each window: its slice of the batch, all channels, its rows and its columns."""
WindowObserver = Callable[[Places, torch.Tensor], None]
"""Called with the places of a batch of windows and their probabilities (N, K, H, W)."""
SliceObserver = Callable[[int], None]
"""Called with the number of slices predicted since the last call."""


class SingleWindowError(MemoryError):
    """Not even one window fits into memory."""


class Batches:
    """Number of windows that are predicted at a time: fewer once memory was full.

    Attributes:
        size: from now on.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def at_most(self, size: int) -> None:
        """Predict so many windows at a time, or fewer."""
        self.size = max(1, min(self.size, size))

    def shrink(self) -> None:
        """Halve the size, after a batch did not fit into memory.

        Raises:
            SingleWindowError: there is no smaller one.
        """
        if self.size == 1:
            raise SingleWindowError("not enough memory for a single window")
        self.size //= 2
        return_freed_memory()


@dataclass(frozen=True)
class View:
    """A way to look at a volume (C, X, Y, Z).

    Attributes:
        axis: along which it is cut into slices.
        mirrored: along which it is mirrored; None leaves it as it is.
    """

    axis: int
    mirrored: int | None = None

    def inputs(self, volume: torch.Tensor, numbers: range, context_slices: int) -> torch.Tensor:
        """Slices with their context, (D, (2k+1) * C, H, W).

        Args:
            volume: shape (C, X, Y, Z).
            numbers: of neighbouring slices.
            context_slices: neighbours on each side; beyond the ends the edge slice is repeated.
        """
        slices = to_slices(volume, self.axis)
        around = torch.arange(numbers.start - context_slices, numbers.stop + context_slices)
        near = slices[around.clamp(0, len(slices) - 1)]  # (D + 2k, C, H, W)
        offsets = range(2 * context_slices + 1)
        if self.mirrored == self.axis:
            offsets = offsets[::-1]
        joined = torch.cat([near[offset : offset + len(numbers)] for offset in offsets], 1)
        return self.turned(joined)

    def turned(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (D, C, H, W) as they look in the mirror, or back from there."""
        if self.mirrored in (None, self.axis):
            return slices
        in_plane = [axis for axis in range(3) if axis != self.axis]
        return slices.flip(2 + in_plane.index(self.mirrored))


def predict_views(
    network: nn.Module,
    volume: torch.Tensor,
    views: Sequence[View],
    config: Config,
    device: torch.device,
    sums: ProbabilitySums,
    on_slices: SliceObserver | None = None,
    batches: Batches | None = None,
) -> None:
    """Predict all slices of a volume in each view, and add them up.

    Args:
        network: in evaluation mode.
        volume: normalised, shape (C, X, Y, Z).
        views: ways to look at it.
        config: context, window, overlap and batch size.
        device: where the network is.
        sums: of the probabilities, which are added to it.
        on_slices: is called after each batch of slices.
        batches: shrink where memory is full; None keeps the size of the configuration.
    """
    for view in views:
        inputs = partial(_inputs, view, volume, config)
        numbers = range(volume.shape[view.axis + 1])
        in_batches = _in_batches(
            network, inputs, numbers, config, device, on_slices=on_slices, batches=batches
        )
        for count, (first, predicted) in enumerate(in_batches, start=1):
            sums.add(view.axis, first, view.turned(predicted))
            if count % _BATCHES_UNTIL_TIDIED == 0:
                return_freed_memory()


def predict_slices(
    network: nn.Module,
    volume: torch.Tensor,
    axis: int,
    config: Config,
    device: torch.device,
    on_windows: WindowObserver | None = None,
    chosen: Sequence[int] | None = None,
) -> torch.Tensor:
    """Probabilities of the slices of one volume.

    Slices that fit into the window are padded with their edge and predicted at once; larger ones
    are predicted in overlapping windows that are blended with Gaussian weights.

    Args:
        network: in evaluation mode.
        volume: normalised, shape (C, X, Y, Z).
        axis: along which it is cut into slices.
        config: context, window, overlap and batch size.
        device: where the network is.
        on_windows: is called with each batch of windows before the blending.
        chosen: numbers of the slices that are predicted; None predicts all.

    Returns:
        Shape (D, K, H, W), float32 on the CPU; one channel of a sigmoid or K of a softmax.

    Raises:
        NoFiniteLogitsError: the weights are damaged, or numbers overflow in a short format.
    """
    numbers = range(volume.shape[axis + 1]) if chosen is None else chosen

    def inputs(places: range) -> torch.Tensor:
        each = [numbers[place] for place in places]
        return torch.cat(
            [_inputs(View(axis), volume, config, range(item, item + 1)) for item in each]
        )

    in_batches = _in_batches(
        network, inputs, range(len(numbers)), config, device, on_windows=on_windows
    )
    return torch.cat([predicted for _, predicted in in_batches])


def _inputs(view: View, volume: torch.Tensor, config: Config, numbers: range) -> torch.Tensor:
    """Slices of a volume (C, X, Y, Z) as the network sees them, (D, C', H, W)."""
    joined = view.inputs(volume, numbers, config.network.context_slices)
    if not config.network.coordinates:
        return joined
    shape, axis = list(volume.shape[1:]), view.axis
    if config.preprocessing.plane != "all":
        # Of slices of one plane, the first axis is that through the plane, as in training.
        shape.insert(0, shape.pop(axis))
        axis = 0
    places = torch.from_numpy(coordinates(shape, axis, numbers)).to(joined)
    return torch.cat([joined, places], 1)


def _in_batches(
    network: nn.Module,
    inputs: Callable[[range], torch.Tensor],
    numbers: range,
    config: Config,
    device: torch.device,
    on_windows: WindowObserver | None = None,
    on_slices: SliceObserver | None = None,
    batches: Batches | None = None,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Number of the first slice of each batch, and the probabilities (D, K, H, W) of the batch."""
    height, width = inputs(numbers[:1]).shape[2:]
    windows = windows_per_slice((height, width), config.network.window, config.inference.overlap)
    while numbers:
        size = config.inference.batch_size if batches is None else batches.size
        # As many slices as these windows cover: the probabilities of each are in memory, too.
        batch = numbers[: max(1, size // windows)]
        try:
            predicted = _predict(network, inputs(batch), size, config, device, on_windows)
        except Exception as error:
            if batches is None or not is_out_of_memory(error):
                raise
            predicted = None
        # Not above, where the error holds what has filled the memory.
        if predicted is None:
            assert batches is not None
            batches.shrink()
            continue
        yield batch.start, predicted
        numbers = numbers[len(batch) :]
        if on_slices is not None:
            on_slices(len(batch))


@torch.inference_mode()
def _predict(
    network: nn.Module,
    inputs: torch.Tensor,
    windows_at_a_time: int,
    config: Config,
    device: torch.device,
    on_windows: WindowObserver | None,
) -> torch.Tensor:
    """Probabilities (D, K, H, W) of slices (D, C', H, W)."""
    precision = resolve_precision(config.training, device)
    memory_format = memory_format_of(config.training)
    # Stays on the device: asking after each window would make a GPU wait.
    finite = torch.ones((), dtype=torch.bool, device=device)

    def probabilities(windows: torch.Tensor, places: Places) -> torch.Tensor:
        with autocast(precision, device):
            logits: torch.Tensor = network(windows.contiguous(memory_format=memory_format)).float()
        # Both are NaN if one of the logits is.
        lowest, highest = logits.aminmax()
        finite.logical_and_(lowest.isfinite() & highest.isfinite())
        predicted = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        if on_windows is not None:
            on_windows(places, predicted)
        return predicted

    seen = sliding_window_inference(
        inputs.to(device),
        roi_size=config.network.window,
        sw_batch_size=windows_at_a_time,
        predictor=probabilities,
        overlap=config.inference.overlap,
        mode="gaussian",
        padding_mode="replicate",
        with_coord=True,
    )
    blended = torch.as_tensor(seen).cpu()
    if not finite:
        raise _no_finite_logits(precision)
    return blended


def windows_per_slice(size: Sequence[int], window: Sequence[int], overlap: float) -> int:
    """Number of windows that cover a slice, stepping like MONAI's sliding-window inferer.

    Args:
        size: height and width of the slice.
        window: height and width.
        overlap: share of a window that the next one covers again.
    """
    return math.prod(
        max(1, math.ceil((length - side) / max(1, int(side * (1 - overlap)))) + 1)
        for length, side in zip(size, window, strict=True)
    )


def _no_finite_logits(precision: str) -> NoFiniteLogitsError:
    return NoFiniteLogitsError(
        "network",
        expected="finite values from the network",
        found=f"NaN or infinite values, computed in {precision}",
        remedy="check the voxel values with `slicewise check`; where they are as usual, train "
        "again with training.precision=float32 or a lower training.learning_rate",
    )


def classes_of(probabilities: torch.Tensor) -> torch.Tensor:
    """Most probable class along dimension 1, (D, K, H, W) to (D, H, W)."""
    if probabilities.shape[1] == 1:
        return (probabilities[:, 0] > 0.5).to(torch.uint8)
    return probabilities.argmax(1).to(torch.uint8)
