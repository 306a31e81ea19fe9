"""On a GPU: the same training and the same masks as on a CPU, within its arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import pytest
import torch

from slicewise.config import Config, parse_config
from slicewise.dataset.cache import CachedCase
from slicewise.segmentation.batches import TrainingBatches
from slicewise.segmentation.device import choose_device
from slicewise.segmentation.sliding_window import predict_slices
from slicewise.segmentation.training import Training
from slicewise.segmentation.unet import UNet

CONFIG = """
name: gpu
data: {labels: {a: 1, b: 2}}
network: {features: [8, 16], window: [32, 32]}
training: {steps: 1, precision: float32}
"""


@pytest.mark.gpu
def test_probabilities_agree_with_the_cpu() -> None:
    config = parse_config(CONFIG, "gpu")
    network = UNet.from_config(config).eval()
    volume = torch.randn(1, 5, 40, 37, generator=torch.Generator().manual_seed(0))
    on_cpu = predict_slices(network, volume, 0, config, torch.device("cpu"))
    on_gpu = predict_slices(network.cuda(), volume, 0, config, choose_device("cuda"))
    torch.testing.assert_close(on_gpu, on_cpu, atol=1e-3, rtol=0)


@pytest.mark.gpu
def test_a_step_waits_for_the_gpu_once(
    make_config: Callable[..., Config], cases: Sequence[CachedCase]
) -> None:
    config = make_config(
        training={"device": "cuda", "precision": "float32"},
        augmentation={"affine_probability": 0.5, "noise_probability": 0.5},
    )
    training = Training(config, cases[:-1], cases[-1:], "0")
    for _ in range(5):
        training.step()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            loss = training.backward()
            waits = [item for item in caught if "synchroniz" in str(item.message)]
            training.update(loss)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    # The background threads wait in a stream of their own.
    assert len([item for item in waits if "training_steps" in item.filename]) == 1


@pytest.mark.gpu
def test_batches_are_those_of_the_cpu(
    make_config: Callable[..., Config], cases: Sequence[CachedCase]
) -> None:
    config = make_config(augmentation={"affine_probability": 0.5, "noise_probability": 0.5})
    on_gpu = TrainingBatches(cases, config, torch.device("cuda"))
    on_cpu = TrainingBatches(cases, config, torch.device("cpu"))
    for step in range(6):
        ours, theirs = on_gpu.of_step(step), on_cpu.of_step(step)
        torch.testing.assert_close(ours.images.cpu(), theirs.images, atol=1e-4, rtol=0)
