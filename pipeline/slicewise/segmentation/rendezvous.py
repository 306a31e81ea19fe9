"""How the processes of one training start and find each other: on this machine, or by torchrun."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from slicewise.config import TrainingSection
from slicewise.errors import InterruptedBySignal, UsageError, WorkerError
from slicewise.imaging.child_processes.child import Child, ChildEndedError
from slicewise.imaging.child_processes.pool import ChildPool
from slicewise.imaging.child_processes.starting import ForkedChildren
from slicewise.imaging.files import temporary_folder
from slicewise.interruption import SignalReceived, end_process, interruptible
from slicewise.segmentation.device import choose_device, require_devices, torch_threads
from slicewise.segmentation.distributed import DistributedGroup, Fate

RENDEZVOUS_SECONDS = 300.0
"""For all processes to find each other; loading the libraries from a network disk is slow."""
EXCHANGE_SECONDS = 300.0
"""For an exchange within a step, while the first process may be writing a checkpoint."""
_POLL_SECONDS = 0.05
_CLOSING_SECONDS = 5.0
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
        with _member(store, 0, count, 0, section.device, _fates(children)) as group:
            yield group
            group.finish(None)
            end = time.monotonic() + _CLOSING_SECONDS
            for child in children:
                with suppress(ChildEndedError):
                    child.receive(lambda: time.monotonic() > end)


@contextmanager
def joined_group(count: int | None, section: TrainingSection) -> Iterator[DistributedGroup]:
    """This process, the first one, and those that torchrun has started with it.

    Raises:
        UsageError: another number is asked for; or see ``require_devices``.
        WorkerError: the processes do not find each other.
    """
    size = int(os.environ["WORLD_SIZE"])
    if count not in (None, size):
        raise UsageError(
            f"`devices` {count}",
            expected=f"no number next to torchrun, which has started {size} processes",
            found="another number",
            remedy="leave the option out",
        )
    require_devices(size, section, here=int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    with _torchrun_member(section.device) as group:
        yield group
        group.finish(None)


def follow_torchrun() -> Any:
    """Take part in the training of the first process; returns its result.

    A signal ends the process.
    """
    with interruptible(), _torchrun_member("auto") as group:
        try:
            return group.follow()
        except SignalReceived as received:
            group.leave(InterruptedBySignal(received.number))
            group.linger()
            end_process(128 + received.number)
        except Exception as error:
            group.leave(error)
            group.linger()
            raise


@contextmanager
def _torchrun_member(device: str) -> Iterator[DistributedGroup]:
    place = os.environ
    rank, size = int(place["RANK"]), int(place["WORLD_SIZE"])
    host, port = place["MASTER_ADDR"], int(place["MASTER_PORT"])
    is_served = place.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    try:
        server = distributed.TCPStore(
            host,
            port,
            size,
            is_master=rank == 0 and not is_served,
            timeout=timedelta(seconds=RENDEZVOUS_SECONDS),
            wait_for_workers=False,
        )
    except RuntimeError as error:
        raise WorkerError(
            f"process {rank} of {size}, on {platform.node()}",
            expected=f"a first process that answers within {RENDEZVOUS_SECONDS:g} s at "
            f"{host}:{port}",
            found="no answer",
            remedy="start the processes of all machines, with the address of the first one, which "
            "the network must let pass",
        ) from error
    # torchrun may have started the same training before.
    attempt = place.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = distributed.PrefixStore(f"slicewise/{attempt}", server)
    with _member(store, rank, size, int(place.get("LOCAL_RANK", 0)), device, _unknown) as group:
        yield group


@contextmanager
def _member(
    store: distributed.Store, rank: int, size: int, local_rank: int, device: str, fate: Fate
) -> Iterator[DistributedGroup]:
    hosts = _met(store, rank, size, fate)
    uses_gpu = choose_device(device).type == "cuda"
    if uses_gpu:
        torch.cuda.set_device(local_rank)
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if uses_gpu else "gloo",
        store=distributed.PrefixStore("torch", store),
        rank=rank,
        world_size=size,
        timeout=timedelta(seconds=EXCHANGE_SECONDS),
    )
    group = DistributedGroup(store, rank, hosts, fate)
    try:
        yield group
    except BaseException as error:
        if group.is_first:
            group.leave(error)
        raise
    finally:
        distributed.destroy_process_group()


def _met(store: distributed.Store, rank: int, size: int, fate: Fate) -> list[str]:
    """Wait until all processes are there; returns the machine of each.

    Raises:
        WorkerError: which are missing.
    """
    keys = [f"host/{number}" for number in range(size)]
    store.set(keys[rank], platform.node())
    end = time.monotonic() + RENDEZVOUS_SECONDS
    while not store.check(keys):
        missing = [number for number in range(size) if not store.check([keys[number]])]
        if time.monotonic() > end or any(fate(number) for number in missing):
            there = [
                f"{number} on {store.get(keys[number]).decode()}"
                for number in range(size)
                if number not in missing
            ]
            raise WorkerError(
                f"{size} processes of one training",
                expected=f"all of them within {RENDEZVOUS_SECONDS:g} s",
                found=f"{', '.join(there)}; not {', '.join(map(str, missing))}",
                remedy="start the processes of all machines with the same command and the same "
                "number of processes",
            )
        time.sleep(_POLL_SECONDS)
    return [store.get(key).decode() for key in keys]


def _follow(here: Path, store: Path, rank: int, size: int, threads: int, device: str) -> None:
    """Take part in a training, in a child process."""
    # Paths may be relative.
    os.chdir(here)
    torch.set_num_threads(threads)
    file = distributed.FileStore(str(store), size)
    with (
        interruptible(),
        _on_loopback(),
        _member(file, rank, size, rank, device, _of_parent) as group,
    ):
        try:
            group.follow()
        except SignalReceived as received:
            group.leave(InterruptedBySignal(received.number))
            parent = parent_process()
            if parent is not None and parent.pid is not None and not group.has_agreed:
                # The first process may be far from the next exchange.
                os.kill(parent.pid, received.number)
        except Exception as error:
            # The first process raises it.
            group.leave(error)


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


def _unknown(_: int) -> str:
    """Torchrun looks after its processes by itself."""
    return ""


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
