"""Chooses the device, the precision and the memory format of a computation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from slicewise.config import TrainingSection
from slicewise.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


def choose_device(name: str) -> torch.device:
    """The device of a configuration.

    Raises:
        UsageError: a GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "training.device",
            expected="a GPU that torch can use",
            found="no such GPU",
            remedy="give `settings` training.device=cpu, or install a CUDA build of torch",
        )
    return torch.device(name)


def require_devices(count: int, section: TrainingSection, *, here: int) -> None:
    """Refuse more processes than there are devices, or windows, and what only one can do.

    Args:
        count: of all processes.
        section: with the device, and the number of windows of a batch.
        here: processes of this machine.

    Raises:
        UsageError: with the number that is there.
    """
    if choose_device(section.device).type == "cuda":
        available, of = torch.cuda.device_count(), "GPUs"
    else:
        available, of = len(os.sched_getaffinity(0)), "cores of the processor"
    if not 1 <= here <= available:
        raise UsageError(
            f"`devices` {here}",
            expected=f"a number from 1 to {available}: so many {of} can be used here",
            found=f"{here} processes, one for each",
            remedy=f"give `devices` {available}",
        )
    if count > section.batch_size:
        raise UsageError(
            f"training.batch_size {section.batch_size}",
            expected=f"at least one window for each of {count} processes",
            found=f"{section.batch_size} windows",
            remedy=f"give `devices` {section.batch_size}, or `settings` "
            f"training.batch_size={count}",
        )
    if count > 1 and section.when_memory_is_full != "stop":
        raise UsageError(
            f"training.when_memory_is_full {section.when_memory_is_full}",
            expected="stop: processes that train together would wait for the one without memory",
            found=f"{count} processes",
            remedy="give `settings` training.when_memory_is_full=stop, or train in one process",
        )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch compute with so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_precision(section: TrainingSection, device: torch.device) -> str:
    """The number format of a run: ``auto`` becomes what is fast on this device."""
    if section.precision != "auto":
        return section.precision
    return "bfloat16" if _native_bfloat16(device) else "float32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The autocast context of a number format."""
    dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
    return torch.autocast(device.type, dtype=dtype[precision], enabled=precision != "float32")


def memory_format_of(section: TrainingSection) -> torch.memory_format:
    """The layout of images and weights."""
    return torch.channels_last if section.channels_last else torch.contiguous_format


def in_memory_format(network: Network, section: TrainingSection) -> Network:
    """The network with its weights in the configured layout."""
    # torch's annotations of Module.to leave the layout out.
    return network.to(memory_format=memory_format_of(section))  # type: ignore[call-overload, no-any-return]


def _native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
