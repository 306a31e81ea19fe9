"""Takes part in the training of another process, which torchrun has started next to this one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slicewise.segmentation.process_group import follow, is_follower, is_from_torchrun

if TYPE_CHECKING:
    from slicewise.workflows.train import TrainingResult

__all__ = ["is_follower", "is_from_torchrun", "take_part"]


def take_part() -> TrainingResult:
    """Do what the first process leaves to the others; returns its result.

    Raises:
        WorkerError: the processes do not find each other.
        SlicewiseError: whatever else ends the training; the first process reports it.
    """
    # What is left to this process is loaded while the first one prepares the scans.
    import_module("slicewise.workflows.train")
    result: TrainingResult = follow()
    return result
