"""Processes of this machine that train one network, started by the first of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path

import torch
from torch import distributed

from slicewise.config import TrainingSection
from slicewise.imaging.child_processes.child import Child, ChildEndedError
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import ForkedChildren
from slicewise.imaging.files import temporary_folder
from slicewise.interruption import SignalReceived, interruptible
from slicewise.segmentation.device import require_devices, torch_threads
from slicewise.segmentation.distributed import DistributedGroup, Fate
from slicewise.segmentation.rendezvous import member

_CLOSING_SECONDS = 5.0
_CLOSED = "closed"
_PRELOADED = (
    "slicewise.dataset.cache",
    "slicewise.segmentation.budget",
    "slicewise.dataset.worker_processes",
)
"""By the server that forks processes, those that prepare the scans included."""


@contextmanager
def started_group(count: int, section: TrainingSection) -> Iterator[DistributedGroup]:
    """This process and others of this machine that it starts.

    Raises:
        UsageError: see ``require_devices``.
        WorkerError: the processes cannot be started.
    """
    require_devices(count, section, here=count)
    context = ForkedChildren()
    context.set_forkserver_preload(list(_PRELOADED))
    threads = max(1, torch.get_num_threads() // count)
    with (
        temporary_folder() as folder,
        closing(ChildPool(context, _do_nothing)) as pool,
        _on_loopback(),
        torch_threads(threads),
    ):
        children = [pool.take() for _ in range(1, count)]
        for rank, child in enumerate(children, start=1):
            child.send(_follow, Path.cwd(), folder / "store", rank, count, threads, section.device)
        store = distributed.FileStore(str(folder / "store"), count)
        with (
            member(store, 0, count, 0, section.device, _fates(children)) as group,
            _closed_at_the_end(store),
        ):
            yield group
            group.finish(None)
            end = time.monotonic() + _CLOSING_SECONDS
            for child in children:
                with suppress(ChildEndedError):
                    child.receive(lambda: time.monotonic() > end)


@contextmanager
def _closed_at_the_end(store: distributed.Store) -> Iterator[None]:
    """Let the others know that what ends them from here on comes from the first process."""
    try:
        yield
    finally:
        store.set(_CLOSED, "")


def _follow(here: Path, store: Path, rank: int, size: int, threads: int, device: str) -> None:
    """Take part in a training, in a child process."""
    # Paths may be relative.
    os.chdir(here)
    torch.set_num_threads(threads)
    file, parent = distributed.FileStore(str(store), size), parent_process()
    has_agreed = False
    try:
        with interruptible():
            try:
                with _on_loopback(), member(file, rank, size, rank, device, _of_parent) as group:
                    try:
                        group.follow()
                    finally:
                        has_agreed = group.has_agreed
            except SignalReceived as received:
                is_news = not has_agreed and not file.check([_CLOSED])
                if parent is not None and parent.pid is not None and is_news:
                    # The first process may be far from the next exchange.
                    os.kill(parent.pid, received.number)
                raise
    except Exception:
        # It is left to the first process, which raises it. The others wait for this one as long as
        # its connections are open, which torch closes with the process only.
        raise SystemExit from None


def _do_nothing() -> None:
    """A child that has done it is ready."""


def _fates(children: Sequence[Child]) -> Fate:
    known: dict[int, str] = {}

    def fate(rank: int) -> str:
        child = children[rank - 1]
        if rank not in known and (child.connection.poll() or not child.is_alive):
            try:
                child.receive()
                known[rank] = "has ended"
            except Exception as error:
                known[rank] = str(error)
        return known.get(rank, "")

    return fate


def _of_parent(_: int) -> str:
    parent = parent_process()
    return "" if parent is not None and parent.is_alive() else "has ended"


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let processes of one machine listen to each other only."""
    name = "GLOO_SOCKET_IFNAME"
    before = os.environ.get(name)
    os.environ[name] = "lo"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
