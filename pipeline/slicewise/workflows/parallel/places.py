"""How many trainings run side by side on this machine, and what each has for itself."""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch

from slicewise.config import Config
from slicewise.errors import UsageError
from slicewise.imaging.memory import free_memory_bytes
from slicewise.quantities import counted
from slicewise.segmentation.device import choose_device, resolve_precision
from slicewise.segmentation.memory_needs import training_memory_bytes
from slicewise.segmentation.networks import build_network
from slicewise.workflows.parallel.children import Place

_GPUS = "CUDA_VISIBLE_DEVICES"
_LEAVE_OUT = "or leave it out: then one follows the other"


def require_number(parallel: int, works: str) -> None:
    """Refuse a number of trainings at a time below 1.

    Args:
        parallel: that number.
        works: what is trained, such as "folds".

    Raises:
        UsageError: it is below 1.
    """
    if parallel < 1:
        raise UsageError(
            "`parallel`",
            expected=f"the number of {works} that are trained at the same time, 1 or more",
            found=f"{parallel} {works}",
            remedy=f"correct the number, {_LEAVE_OUT}",
        )


def places_of(configs: Iterable[Config], parallel: int, works: str) -> list[Place]:
    """The places of trainings that run side by side on this machine.

    Args:
        configs: of the trainings, which have one device in common.
        parallel: number of trainings at a time.
        works: what is trained, such as "folds".

    Raises:
        UsageError: there are not enough GPUs, or there is not enough memory.
    """
    require_number(parallel, works)
    configs = list(configs)
    device = choose_device(configs[0].training.device)
    if parallel > 1:
        _require_memory(max(needed_bytes(item) for item in configs), parallel, works)
    if device.type != "cuda":
        threads = max(1, torch.get_num_threads() // parallel)
        return [Place(threads) for _ in range(parallel)]
    gpus = _gpus()
    if parallel > len(gpus):
        raise UsageError(
            f"`parallel` {parallel}",
            expected=f"at most as many {works} at the same time as there are GPUs",
            found=counted(len(gpus), "GPU"),
            remedy=f"`parallel` {len(gpus)}, or `settings` training.device=cpu",
        )
    return [Place(torch.get_num_threads(), gpu) for gpu in gpus[:parallel]]


def needed_bytes(config: Config) -> float:
    """Memory of this machine that a training needs, at least."""
    section = config.training
    device = choose_device(section.device)
    changes = {"precision": resolve_precision(section, device)}
    config = config.model_copy(update={"training": section.model_copy(update=changes)})
    return training_memory_bytes(lambda: build_network(config), config, device)


def _gpus() -> list[str]:
    """The GPUs that this process may use, as its children are to name them."""
    count, named = torch.cuda.device_count(), os.environ.get(_GPUS)
    numbers = [str(number) for number in range(count)] if named is None else named.split(",")
    return numbers[:count]


def _require_memory(needed_bytes: float, parallel: int, works: str) -> None:
    free_bytes = free_memory_bytes()
    if parallel * needed_bytes > free_bytes:
        fitting = int(free_bytes // needed_bytes)
        fewer = f"`parallel` {fitting}, " if fitting else ""
        raise UsageError(
            f"`parallel` {parallel}",
            expected=f"{works} that fit together into the {free_bytes / 1e9:,.1f} GB of memory "
            "that are free",
            found=f"{parallel:,} {works} of about {needed_bytes / 1e9:,.1f} GB each",
            remedy=f"{fewer}a smaller training.batch_size or network.window, or close other "
            "programs",
        )
