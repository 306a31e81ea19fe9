"""How much memory a prediction takes, in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from slicewise.config import Config
from slicewise.imaging.volume import Volume
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member

SHAPE = (224, 224, 128)
STRUCTURES = 6
MOST_BYTES_PER_VOXEL = 80
"""It is 40 to 55; it had been 250."""


class Shades(nn.Module):
    """Classes by intensity."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        edges = torch.linspace(-1.5, 1.5, STRUCTURES + 1)[:, None, None]
        middle = windows.shape[1] // 2
        return -((windows[:, middle : middle + 1] - edges) ** 2)


def predict() -> float:
    """Bytes per voxel at the peak, over what the process had before."""
    config = Config.model_validate(
        {
            "name": "large",
            "data": {"root": ".", "labels": {f"s{n}": n for n in range(1, STRUCTURES + 1)}},
            "preprocessing": {"plane": "all", "foreground": "nonzero"},
            "network": {"features": [4], "window": [256, 256]},
            "training": {"steps": 1, "precision": "float32", "device": "cpu"},
            "inference": {"batch_size": 2},
        }
    )
    small = Volume(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    predictor = Predictor(config, [Member(Shades(), config)], torch.device("cpu"))
    predictor.predict(small)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    voxels = np.random.default_rng(0).integers(1, 1000, SHAPE, dtype=np.int16)
    prediction = predictor.predict(Volume(voxels, np.diag([-1.0, -1.0, 1.0, 1.0])))
    assert len(np.unique(prediction.voxels)) == STRUCTURES + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (peak - before) * 1024 / voxels.size


@pytest.mark.slow
def test_no_more_than_the_sums_and_a_few_copies_of_the_scan() -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import {__name__} as t, json; print(json.dumps(t.predict()))"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: Any = json.loads(run.stdout)
    assert found < MOST_BYTES_PER_VOXEL
