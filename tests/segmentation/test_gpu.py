"""On a GPU: the same training and the same masks as on a CPU, within its arithmetic."""

from __future__ import annotations

import pytest
import torch

from slicewise.config import parse_config
from slicewise.segmentation.device import choose_device
from slicewise.segmentation.sliding_window import predict_slices
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
    slices = torch.randn(5, 1, 40, 37, generator=torch.Generator().manual_seed(0))
    on_cpu = predict_slices(network, slices, config, torch.device("cpu"))
    on_gpu = predict_slices(network.cuda(), slices, config, choose_device("cuda"))
    torch.testing.assert_close(on_gpu, on_cpu, atol=1e-3, rtol=0)
