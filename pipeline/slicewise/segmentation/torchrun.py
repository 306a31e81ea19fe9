"""Joins the processes that torchrun has started for one training, on one machine or several."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from torch import distributed

from slicewise.config import TrainingSection
from slicewise.errors import UsageError, WorkerError
from slicewise.interruption import SignalReceived, end_process, interruptible
from slicewise.segmentation import rendezvous
from slicewise.segmentation.device import require_devices
from slicewise.segmentation.distributed import DistributedGroup

_PAUSE_SECONDS = 0.5


@contextmanager
def joined_group(count: int | None, section: TrainingSection) -> Iterator[DistributedGroup]:
    """This process, the first one, and those that torchrun has started with it.

    Raises:
        UsageError: another number is asked for; or see ``require_devices``.
        WorkerError: the processes do not find each other.
    """
    size = _number("WORLD_SIZE")
    if count not in (None, size):
        raise UsageError(
            f"`devices` {count}",
            expected=f"no number next to torchrun, which has started {size} processes",
            found="another number",
            remedy="leave the option out",
        )
    require_devices(size, section, here=_number("LOCAL_WORLD_SIZE", size))
    with _member(section.device) as group:
        yield group
        group.finish(None)


def follow_torchrun() -> Any:
    """Take part in the training of the first process; returns its result.

    A signal ends the process without a word.

    Raises:
        WorkerError: the processes do not find each other.
        SlicewiseError: whatever else ends the training; the first process raises it, too.
    """
    with interruptible():
        try:
            with _member("auto") as group:
                try:
                    return group.follow()
                except BaseException as error:
                    group.leave(error)
                    group.linger()
                    raise
        except SignalReceived as received:
            end_process(128 + received.number)


@contextmanager
def _member(device: str) -> Iterator[DistributedGroup]:
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    # torchrun may have started the same training before.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = distributed.PrefixStore(f"slicewise/{attempt}", _server(rank, size))
    local_rank = _number("LOCAL_RANK", 0)
    with rendezvous.member(store, rank, size, local_rank, device, _unknown) as group:
        yield group


def _server(rank: int, size: int) -> distributed.Store:
    """The server of messages, which torchrun runs, or the first process."""
    host, port = os.environ["MASTER_ADDR"], _number("MASTER_PORT")
    serves = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    seconds = rendezvous.RENDEZVOUS_SECONDS
    try:
        if not serves:
            _wait_for(host, port, seconds)
        return distributed.TCPStore(
            host, port, size, serves, timedelta(seconds=seconds), wait_for_workers=False
        )
    except (OSError, RuntimeError) as error:
        first = "an address that the first process can listen at"
        raise WorkerError(
            f"process {rank} of {size}, on {platform.node()}",
            expected=f"{first if serves else f'an answer within {seconds:g} s'}: {host}:{port}",
            found="another program that does" if serves else "no answer",
            remedy="give another port"
            if serves
            else "start the processes of all machines, with "
            "the address of the first one, which the network must let pass",
        ) from error


def _wait_for(host: str, port: int, seconds: float) -> None:
    """Wait until somebody listens; torch would fill the screen meanwhile.

    Raises:
        OSError: nobody does within the time limit.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _number(name: str, default: int | None = None) -> int:
    """A number of the environment that torchrun sets.

    Raises:
        UsageError: it is something else.
    """
    text = os.environ.get(name, "" if default is None else str(default))
    if not text.isdecimal():
        raise UsageError(
            f"the variable {name}",
            expected="a whole number, as torchrun sets it",
            found=text or "no text",
            remedy="start the processes with torchrun, or unset the variable",
        )
    return int(text)


def _unknown(_: int) -> str:
    """Torchrun looks after its processes by itself."""
    return ""
