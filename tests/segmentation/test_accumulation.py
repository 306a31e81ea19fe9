"""A batch that does not fit into memory is computed in parts, to the same end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import TrainingError
from slicewise.segmentation.accumulation import levels_in_parts
from slicewise.segmentation.networks import build_network
from slicewise.segmentation.training import Training
from slicewise.segmentation.training_progress import Unobserved

MakeConfig = Callable[..., Config]
IMAGES = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def gradients(network: Any, parts: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Of a loss that couples all windows of the batch."""
    top, *lower = levels_in_parts(network, IMAGES.to(next(network.parameters()).dtype), parts)
    loss = top.sigmoid().sum() ** 2 / (1 + top.square().sum()) + sum(x.mean() for x in lower)
    loss.backward()
    return loss.detach(), [weight.grad for weight in network.parameters()]


@pytest.mark.parametrize("parts", [2, 4, 6])
def test_gradients_are_those_of_the_whole_batch(make_config: MakeConfig, parts: int) -> None:
    config = make_config(
        network={
            "features": (4, 8, 8),
            "normalization": "instance",
            "deep_supervision": True,
        }
    )
    network = build_network(config).double().train()
    expected_loss, expected = gradients(deepcopy(network), 1)
    loss, found = gradients(network, parts)
    torch.testing.assert_close(loss, expected_loss)
    torch.testing.assert_close(found, expected)


def test_batch_normalisation_counts_each_part_once(make_config: MakeConfig) -> None:
    network = build_network(make_config(network={"normalization": "batch"})).train()
    by_hand = deepcopy(network)
    gradients(network, 3)
    for part in IMAGES.chunk(3):
        by_hand.levels(part)
    for (name, found), expected in zip(network.named_buffers(), by_hand.buffers(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)


def limited(training: Training, most: int) -> list[int]:
    """Let the network raise the error of torch for more windows than fit; returns those tried."""
    levels, tried = training.network.levels, []

    def in_little_memory(windows: torch.Tensor) -> list[torch.Tensor]:
        tried.append(len(windows))
        if len(windows) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return levels(windows)

    training.network.levels = in_little_memory  # type: ignore[method-assign]
    return tried


def trained(config: Config, cases: Sequence[CachedCase], out: Path, most: int) -> Training:
    training = Training(config, cases[:-1], cases[-1:], "0")
    tried = limited(training, most)
    training.run(out, Unobserved())
    # Forward and backward pass of each part, once memory was full.
    assert tried[:3] == ([6, 3, 2] if most < 6 else [6, 6, 6])
    return training


def test_a_training_goes_on_in_parts(
    make_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path
) -> None:
    config = make_config(
        network={"normalization": "instance"}, training={"when_memory_is_full": "accumulate"}
    )
    whole = trained(config, cases, tmp_path / "whole", 100)
    parts = trained(config, cases, tmp_path / "parts", 2)
    assert (whole.progress.parts, parts.progress.parts) == (1, 4)
    assert parts.progress.losses == pytest.approx(whole.progress.losses, abs=1e-4)
    for weight, expected in zip(
        parts.network.parameters(), whole.network.parameters(), strict=True
    ):
        torch.testing.assert_close(weight, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("choice", "most"), [("stop", 2), ("accumulate", 0)])
def test_memory_that_stays_too_small_ends_it(
    make_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path, choice: str, most: int
) -> None:
    training = Training(
        make_config(training={"when_memory_is_full": choice}), cases[:-1], cases[-1:], "0"
    )
    limited(training, most)
    with pytest.raises(TrainingError, match="batches that fit into memory"):
        training.run(tmp_path, Unobserved())
