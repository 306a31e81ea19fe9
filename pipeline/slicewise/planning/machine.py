"""The machine that plans, and the network size that it trains in reasonable time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slicewise.segmentation.device import choose_device


@dataclass(frozen=True)
class Machine:
    """The hardware limits of a plan.

    Attributes:
        name: model of the GPU, or number of CPU threads.
        has_gpu: whether training runs on a GPU.
    """

    name: str
    has_gpu: bool

    @property
    def max_window(self) -> int:
        """Largest side of a window, in pixels."""
        return 256 if self.has_gpu else 192

    @property
    def max_features(self) -> int:
        """Largest number of channels of a level."""
        return 512 if self.has_gpu else 256


def this_machine(device: str) -> Machine:
    """The machine that a configuration would be trained on.

    Args:
        device: as ``training.device`` names it.

    Raises:
        UsageError: a GPU is requested and there is none.
    """
    if choose_device(device).type == "cuda":
        return Machine(torch.cuda.get_device_name(), has_gpu=True)
    threads = torch.get_num_threads()
    return Machine(f"{threads} CPU thread{'s' if threads > 1 else ''}", has_gpu=False)
