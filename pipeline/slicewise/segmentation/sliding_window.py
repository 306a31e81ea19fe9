"""Predicts the slices of a volume window by window, and blends the windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.preprocessing import from_slices, to_slices
from slicewise.dataset.sampling import with_context
from slicewise.errors import ScanError
from slicewise.lean_monai import sliding_window_inference
from slicewise.segmentation.device import autocast, memory_format_of, resolve_precision


class NoFiniteLogitsError(ScanError):
    """A network answered a scan with NaN or infinite values, from which no mask can be made."""

    def of(self, scan: str, network: str) -> NoFiniteLogitsError:
        """The same error, with the names of the scan and of the checkpoint."""
        found = f"{self.found} by {network}"
        return type(self)(scan, expected=self.expected, found=found, remedy=self.remedy)


Places = Sequence[Sequence[slice]]
"""Of each window: its slice of the batch, all channels, its rows and its columns."""
WindowObserver = Callable[[Places, torch.Tensor], None]
"""Called with the places of a batch of windows and their probabilities (N, K, H, W)."""
SliceObserver = Callable[[int], None]
"""Called with the number of slices predicted since the last call."""


def predict_views(
    network: nn.Module,
    volume: torch.Tensor,
    axes: Sequence[int],
    config: Config,
    device: torch.device,
    on_slices: SliceObserver | None = None,
) -> torch.Tensor:
    """Probabilities of a volume, mean over the planes that it is cut in.

    Args:
        network: in evaluation mode.
        volume: normalised, shape (C, X, Y, Z).
        axes: each a way to cut it into slices.
        config: context, window, overlap and batch size.
        device: where the network is.
        on_slices: is called after each batch of slices.

    Returns:
        Shape (K, X, Y, Z), float32 on the CPU.
    """
    views = (
        from_slices(
            predict_slices(network, to_slices(volume, axis), config, device, on_slices=on_slices),
            axis,
        )
        for axis in axes
    )
    return torch.stack(list(views)).mean(0)


def predict_slices(
    network: nn.Module,
    slices: torch.Tensor,
    config: Config,
    device: torch.device,
    on_windows: WindowObserver | None = None,
    on_slices: SliceObserver | None = None,
) -> torch.Tensor:
    """Probabilities of the slices of one volume.

    Slices that fit into the window are padded with their edge and predicted at once; larger ones
    are predicted in overlapping windows that are blended with Gaussian weights.

    Args:
        network: in evaluation mode.
        slices: normalised, shape (D, C, H, W).
        config: context, window, overlap and batch size.
        device: where the network is.
        on_windows: is called with each batch of windows before the blending.
        on_slices: is called after each batch of slices.

    Returns:
        Shape (D, K, H, W), float32 on the CPU; one channel of a sigmoid or K of a softmax.

    Raises:
        NoFiniteLogitsError: the weights are damaged, or numbers overflow in a short format.
    """
    inputs = with_context(slices, config.network.context_slices)  # (D, C', H, W)
    return predict_inputs(network, inputs, config, device, on_windows, on_slices)


@torch.inference_mode()
def predict_inputs(
    network: nn.Module,
    inputs: torch.Tensor,
    config: Config,
    device: torch.device,
    on_windows: WindowObserver | None = None,
    on_slices: SliceObserver | None = None,
) -> torch.Tensor:
    """``predict_slices`` for slices that have their context already, shape (D, C', H, W)."""
    precision = resolve_precision(config.training, device)
    memory_format = memory_format_of(config.training)
    # Stays on the device: asking after each window would make a GPU wait.
    finite = torch.ones((), dtype=torch.bool, device=device)

    def probabilities(windows: torch.Tensor, places: Places) -> torch.Tensor:
        with autocast(precision, device):
            logits: torch.Tensor = network(windows.contiguous(memory_format=memory_format)).float()
        finite.logical_and_(logits.isfinite().all())
        predicted = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
        if on_windows is not None:
            on_windows(places, predicted)
        return predicted

    blended = []
    for batch in inputs.split(config.inference.batch_size):
        seen = sliding_window_inference(
            batch.to(device),
            roi_size=config.network.window,
            sw_batch_size=config.inference.batch_size,
            predictor=probabilities,
            overlap=config.inference.overlap,
            mode="gaussian",
            padding_mode="replicate",
            with_coord=True,
        )
        blended.append(torch.as_tensor(seen).cpu())
        if on_slices is not None:
            on_slices(len(batch))
        if not finite:
            raise _no_finite_logits(precision)
    return torch.cat(blended)


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
