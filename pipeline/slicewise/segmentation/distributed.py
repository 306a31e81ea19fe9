"""Several processes that train one network, by ``torch.distributed``.

The weights are the same in all of them. Each computes its share of the windows of a step. Logits
are exchanged, so that a loss sees the whole batch as it would in one process; gradients are added.
Processes leave messages for each other in a store of torch. One that ends leaves its error there,
which the first process raises.
"""

from __future__ import annotations

import io
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import zip_longest
from typing import Any

import torch
from torch import distributed, nn

from slicewise.errors import InterruptedBySignal, SlicewiseError
from slicewise.interruption import SignalReceived, received_signal, uninterrupted
from slicewise.quantities import counted
from slicewise.segmentation.process_group import Module, ProcessGroup, ProcessLostError, Value

_POLL_SECONDS = 0.02
_LAST_MESSAGES_SECONDS = 3.0
"""For processes that have lost another one, to say that they are still there."""

_MISSING = object()

Fate = Callable[[int], str]
"""How another process has ended, as a verb phrase; empty while it goes on, and if unknown."""


class _CrashError(Exception):
    """What no room has foreseen in another process, with its traceback."""


class DistributedGroup(ProcessGroup):
    """One of several processes that train together; torch's process group has been initialised.

    Args:
        store: of messages, which all processes see.
        rank: of this process, counted from 0.
        hosts: name of the machine of each process.
        fate: tells how others have ended.

    Attributes:
        has_agreed: whether all processes know of the signal that ends their work.
    """

    def __init__(
        self, store: distributed.Store, rank: int, hosts: Sequence[str], fate: Fate
    ) -> None:
        self.rank, self.size = rank, len(hosts)
        self._store, self._hosts, self._fate = store, hosts, fate
        self._tasks = self._meetings = 0
        self._is_finished = self.has_agreed = False

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Leave a task for all other processes."""
        self._put(f"task/{self._tasks}", pickle.dumps((function, arguments)))
        self._tasks += 1

    def finish(self, result: object) -> None:
        """Let the others end, with the result of the first process; once is enough."""
        if not self._is_finished:
            self.call(_finished, result)
            self._is_finished = True

    def follow(self) -> Any:
        """Do what the first process asks for; returns its result at the end."""
        while True:
            key = f"task/{self._tasks}"
            self._wait_for([key])
            function, arguments = pickle.loads(self._store.get(key))
            self._tasks += 1
            if function is _finished:
                return arguments[0]
            function(self, *arguments)

    def leave(self, error: BaseException) -> None:
        """Tell the others why this process takes no further part."""
        with suppress(RuntimeError):
            self._put(f"end/{self.rank}", _pickled(error, self.rank))

    def linger(self) -> None:
        """Stay until the first process has read why this one leaves: torchrun would end it, too."""
        end = time.monotonic() + _LAST_MESSAGES_SECONDS
        with suppress(RuntimeError):
            while time.monotonic() < end and not self._store.check(["end/0"]):
                time.sleep(_POLL_SECONDS)

    def gathered(self, results: Sequence[Value]) -> list[Value]:
        """Results of all processes; those that are early wait as long as it takes."""
        self._meet()
        parts: list[Any] = [None] * self.size
        with self._exchanging():
            distributed.all_gather_object(parts, list(results))
        # The first result of each process, then the second of each, as the items were dealt out.
        rows = zip_longest(*parts, fillvalue=_MISSING)
        return [item for row in rows for item in row if item is not _MISSING]

    def joined(self, share: torch.Tensor, count: int) -> torch.Tensor:
        """The rows of all processes, of which those of this one keep their gradient."""
        own = self.share_of(count)
        whole = share.new_zeros(count, *share.shape[1:])
        whole[own] = share.detach()
        self._add(whole)
        return torch.cat([whole[: own.start], share, whole[own.stop :]])

    def with_shared_batch_norm(self, network: Module, device: torch.device) -> Module:
        """On a GPU; for a CPU, torch has no such normalisation."""
        if device.type != "cuda":
            return network
        shared: Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return shared

    @torch.no_grad()
    def add_gradients(self, network: nn.Module) -> None:
        """Add the gradients of all processes; statistics of normalisations become their mean."""
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
        statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        parts = [*gradients, *(buffer / self.size for buffer in statistics)]
        flat = torch.cat([part.flatten() for part in parts])
        self._add(flat)
        added = flat.split([part.numel() for part in parts])
        for tensor, total in zip((*gradients, *statistics), added, strict=True):
            tensor.copy_(total.view(tensor.shape))

    def decided(self, decide: Callable[[], Value]) -> Value:
        """What the first process has decided, for all of them."""
        values: list[Any] = [decide() if self.is_first else None]
        with self._exchanging():
            distributed.broadcast_object_list(values, src=0)
        decision: Value = values[0]
        return decision

    def state_of_first(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state of a training in the first process, on the CPU."""
        found: dict[str, Any] = torch.load(
            io.BytesIO(self.decided(lambda: _saved(state))), map_location="cpu", weights_only=True
        )
        return found

    def summary(self, network: nn.Module, batch_size: int) -> Iterator[str]:
        """Sentences about how the work is divided."""
        share = len(range(batch_size)[self.share_of(batch_size)])
        machines = counted(len(set(self._hosts)), "machine")
        yield (
            f"{self.size} processes on {machines} train together, each with up to {share} of the "
            f"{batch_size} windows of a step"
        )
        layers = [type(layer) for layer in network.modules()]
        if any(issubclass(layer, nn.modules.batchnorm._BatchNorm) for layer in layers) and (
            nn.SyncBatchNorm not in layers
        ):
            yield (
                "warning: batch normalisation sees the windows of one process at a time, because "
                "PyTorch synchronises it on GPUs only. The model will depend on the number of "
                "processes; with `settings` network.normalization=instance it does not"
            )

    def in_step(self) -> AbstractContextManager[object]:
        """Defer signals: a process that left in the middle would keep the others waiting."""
        return uninterrupted()

    def is_interrupted(self) -> bool:
        """Whether a signal has come to any process, which now is one to all of them."""
        number = torch.tensor(received_signal() or 0)
        with self._exchanging():
            distributed.all_reduce(number, distributed.ReduceOp.MAX)
        if number and received_signal() is None:
            signal.raise_signal(int(number))
        self.has_agreed = bool(number)
        return self.has_agreed

    def is_ending(self) -> bool:
        """Whether a signal waits for an answer in this process, or in one that has said so here."""
        if received_signal() is not None:
            self._store.set("signal", "")
            return True
        return bool(self._store.check(["signal"]))

    def _put(self, key: str, content: bytes) -> None:
        # torch's annotation leaves bytes out.
        self._store.set(key, content)  # type: ignore[arg-type]

    def _add(self, tensor: torch.Tensor) -> None:
        with self._exchanging():
            if tensor.is_cuda:
                # Between GPUs, nobody hears of a process that has ended.
                distributed.all_reduce(torch.zeros(1))
            distributed.all_reduce(tensor)

    def _meet(self) -> None:
        """Wait until all processes are here."""
        self._meetings += 1
        self._store.set(f"meeting/{self._meetings}/{self.rank}", "")
        self._wait_for([f"meeting/{self._meetings}/{rank}" for rank in range(self.size)])

    def _wait_for(self, keys: Sequence[str]) -> None:
        """Wait for messages, as long as the processes that leave them go on."""
        with self._exchanging():
            while not self._store.check(list(keys)):
                if any(self._has_ended(rank) for rank in self._others):
                    raise self._lost()
                time.sleep(_POLL_SECONDS)

    @property
    def _others(self) -> Sequence[int]:
        """The processes that this one looks after."""
        return range(1, self.size) if self.is_first else (0,)

    def _has_ended(self, rank: int) -> bool:
        return self._store.check([f"end/{rank}"]) or bool(self._fate(rank))

    @contextmanager
    def _exchanging(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            # A connection was closed, or nothing came within the time limit.
            raise self._lost() from error

    def _lost(self) -> Exception:
        """Why another process takes no further part: its error, if it has left one."""
        silent = list(self._others)
        if not self.is_first:
            return self._ended(silent, "has ended")
        end = time.monotonic() + _LAST_MESSAGES_SECONDS
        while silent and time.monotonic() < end:
            for rank in silent.copy():
                if self._store.check([f"end/{rank}"]):
                    error: Exception = pickle.loads(self._store.get(f"end/{rank}"))
                    if not isinstance(error, ProcessLostError):
                        return error
                    silent.remove(rank)
                elif fate := self._fate(rank):
                    return self._ended([rank], fate)
            time.sleep(_POLL_SECONDS)
        return self._ended(silent or self._others, "no longer answers")

    def _ended(self, ranks: Sequence[int], fate: str) -> ProcessLostError:
        names = ", ".join(f"{rank} on {self._hosts[rank]}" for rank in ranks)
        return ProcessLostError(
            f"process {names}" if len(ranks) == 1 else f"processes {names}",
            expected=f"{self.size} processes that train until the end",
            found=f"one that {fate}",
            remedy="give the same command with `resume`; another number of processes will do, too",
        )


def _finished() -> None:
    """The task of a process whose work is done."""


def _saved(state: dict[str, Any]) -> bytes:
    content = io.BytesIO()
    torch.save(state, content)
    return content.getvalue()


def _pickled(error: BaseException, rank: int) -> bytes:
    if isinstance(error, SignalReceived):
        error = InterruptedBySignal(error.number)
    if not isinstance(error, SlicewiseError):
        error = _CrashError(f"in process {rank}:\n{''.join(traceback.format_exception(error))}")
    return pickle.dumps(error)
