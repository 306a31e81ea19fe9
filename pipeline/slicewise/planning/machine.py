"""This machine in; how large a network it trains in reasonable time out."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slicewise.segmentation.device import choose_device


@dataclass(frozen=True)
class Machine:
    """What bounds a plan.

    Attributes:
        name: of the device, without who or where it is.
        has_gpu: whether a GPU trains.
    """

    name: str
    has_gpu: bool

    @property
    def largest_window(self) -> int:
        """Pixels along a side."""
        return 256 if self.has_gpu else 192

    @property
    def most_features(self) -> int:
        """Channels of a level."""
        return 512 if self.has_gpu else 256


def this_machine(device: str) -> Machine:
    """The machine that a configuration would train on.

    Args:
        device: as ``training.device`` names it.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    if choose_device(device).type == "cuda":
        return Machine(torch.cuda.get_device_name(), has_gpu=True)
    threads = torch.get_num_threads()
    return Machine(f"{threads} CPU thread{'s' if threads > 1 else ''}", has_gpu=False)
