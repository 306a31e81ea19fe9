"""How the processes of one training find each other, within a time limit."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import distributed

from slicewise.errors import WorkerError
from slicewise.segmentation.device import choose_device
from slicewise.segmentation.distributed import DistributedGroup, Fate

RENDEZVOUS_SECONDS = 300.0
"""For all processes to find each other; loading the libraries from a network disk is slow."""
EXCHANGE_SECONDS = 300.0
"""For an exchange within a step, while the first process may be writing a checkpoint."""
_POLL_SECONDS = 0.05


@contextmanager
def member(
    store: distributed.Store, rank: int, size: int, local_rank: int, device: str, fate: Fate
) -> Iterator[DistributedGroup]:
    """One of several processes, as soon as all of them are there.

    Args:
        store: of messages, which all processes see.
        rank: of this process, counted from 0.
        size: number of processes.
        local_rank: of this process on its machine; so many is the GPU that it uses.
        device: of the configuration; that of the first process holds for all.
        fate: tells how others have ended.

    Raises:
        WorkerError: some are not there within the time limit.
    """
    if rank == 0:
        store.set("device", device)
    hosts = _met(store, rank, size, fate)
    uses_gpu = choose_device(store.get("device").decode()).type == "cuda"
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
