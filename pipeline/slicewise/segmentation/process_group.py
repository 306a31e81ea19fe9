"""The processes that train one network together; a training without others is a group of one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from slicewise.errors import TrainingError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from slicewise.config import TrainingSection

Value = TypeVar("Value")
Module = TypeVar("Module", bound="nn.Module")
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class ProcessLostError(TrainingError):
    """Another process of a training has ended, or does not answer."""


class ProcessGroup:
    """A process that trains alone: nothing is divided, nothing is exchanged.

    Attributes:
        rank: of this process, counted from 0; the first one writes, tracks and reports.
        size: number of processes.
    """

    rank = 0
    size = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, tracks and reports."""
        return self.rank == 0

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Let all other processes call a function, with their group before the arguments.

        Args:
            function: of a module; it takes part in what this process does next.
            arguments: are pickled.
        """
        del function, arguments

    def finish(self, result: object) -> None:
        """Let the other processes end, where ``follow`` returns the result."""
        del result

    def share_of(self, count: int) -> slice:
        """Which of so many windows this process computes."""
        smallest, larger = divmod(count, self.size)
        start = self.rank * smallest + min(self.rank, larger)
        return slice(start, start + smallest + (self.rank < larger))

    def some_of(self, items: Sequence[Value]) -> Sequence[Value]:
        """Which items this process works on; ``gathered`` puts the results in order."""
        return items[self.rank :: self.size]

    def gathered(self, results: Sequence[Value]) -> list[Value]:
        """Results of all processes for ``some_of`` items, in the order of the items."""
        return list(results)

    def joined(self, share: torch.Tensor, count: int) -> torch.Tensor:
        """The rows of all processes, of which those of this one keep their gradient.

        Args:
            share: (n, ...), the rows ``share_of(count)``.
            count: number of rows of all processes.
        """
        del count
        return share

    def with_shared_batch_norm(self, network: Module, device: torch.device) -> Module:
        """The network, whose batch normalisation sees the windows of all processes if it can."""
        del device
        return network

    def add_gradients(self, network: nn.Module) -> None:
        """Add the gradients of all processes; statistics of normalisations become their mean."""
        del network

    def decided(self, decide: Callable[[], Value]) -> Value:
        """What the first process has decided, for all of them."""
        return decide()

    def state_of_first(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of a training in the first process, on the CPU."""
        return state

    def summary(self, network: nn.Module, batch_size: int) -> Iterator[str]:
        """Sentences about how the work is divided."""
        del network, batch_size
        yield from ()

    def in_step(self) -> AbstractContextManager[object]:
        """Defer signals, which all processes answer together where ``is_interrupted`` is asked."""
        return nullcontext()

    def is_interrupted(self) -> bool:
        """Whether a signal has come to any process; it is answered at the end of ``in_step``."""
        return False

    def is_ending(self) -> bool:
        """Whether a signal waits for an answer, so that long work is to be left."""
        return False


ALONE = ProcessGroup()


def is_from_torchrun() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in _TORCHRUN) and os.environ["WORLD_SIZE"] != "1"


def is_follower() -> bool:
    """Whether torchrun started this process as one that only takes part in a training."""
    return is_from_torchrun() and os.environ["RANK"] != "0"


@contextmanager
def open_group(devices: int | None, section: TrainingSection) -> Iterator[ProcessGroup]:
    """The processes that train together: those of torchrun, or as many as are asked for.

    Args:
        devices: number of processes on this machine, each with a GPU, or with a share of the cores;
            None is this one alone, unless torchrun has started several.
        section: with the device and the size of the batch that they share.

    Raises:
        UsageError: more than there are GPUs or cores, or than the batch has windows.
        WorkerError: the processes cannot be started, or do not find each other.
    """
    if not is_from_torchrun() and devices in (None, 1):
        yield ALONE
        return
    # These take a moment to load, for which a training alone does not wait.
    if is_from_torchrun():
        from slicewise.segmentation.torchrun import joined_group

        opened = joined_group(devices, section)
    else:
        from slicewise.segmentation.local_group import started_group

        opened = started_group(devices or 0, section)
    with opened as group:
        yield group


def follow() -> Any:
    """Take part in the training of the first process that torchrun started; returns its result.

    Raises:
        WorkerError: the processes do not find each other.
        ProcessLostError: the first process has ended without a result.
    """
    from slicewise.segmentation.torchrun import follow_torchrun

    return follow_torchrun()
