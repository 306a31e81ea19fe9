"""A network sees in prediction what it has seen in training: the same channels, in one order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from slicewise.config import Config
from slicewise.dataset.augmentation import augment
from slicewise.dataset.cache import CachedCase
from slicewise.dataset.coordinates import coordinates
from slicewise.dataset.sampling import WindowSampler
from slicewise.segmentation.probability_maps import ProbabilitySums
from slicewise.segmentation.sliding_window import View, predict_slices, predict_views

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
SHAPE = (8, 10, 12)
"""Of a stack (D, H, W)."""


class Recorder(nn.Module):
    """Remembers the windows that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        self.seen += windows
        return torch.zeros(len(windows), 1, *windows.shape[2:])


@pytest.fixture
def case(tmp_path: Path) -> CachedCase:
    """Two contrasts; each value tells where it is."""
    image = np.arange(2 * np.prod(SHAPE), dtype=np.float32).reshape(8, 2, 10, 12)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "label.npy", np.zeros(SHAPE, np.uint8))
    np.save(tmp_path / "points.npy", np.zeros((0, 4), np.int32))
    return CachedCase("a", "a", "a", tmp_path)


@pytest.mark.parametrize("has_coordinates", [False, True])
@pytest.mark.parametrize(
    ("plane", "axes"), [("all", (0, 1, 2)), ("axial", (2,)), ("coronal", (1,)), ("thickest", (0,))]
)
def test_channels_are_those_of_training(
    make_config: MakeConfig,
    case: CachedCase,
    plane: str,
    axes: tuple[int, ...],
    has_coordinates: bool,
) -> None:
    config = make_config(
        data={"labels": {"disc": 1}, "contrasts": ["T1", "T2"]},
        preprocessing={"plane": plane},
        network={"features": (4,), "window": (6, 6), "coordinates": has_coordinates},
        inference={"overlap": 0.9, "batch_size": 500},
    )
    drawn = WindowSampler([case], config).batch(0, 40).images
    stack = torch.from_numpy(np.array(case.image))  # (D, C, H, W)
    # The first axis of a stack is the one that scans are cut along.
    volume = stack.movedim(1, 0)
    if plane != "all":
        volume = volume.movedim(1, axes[0] + 1)
    network = Recorder()
    sums = ProbabilitySums(1, tuple(volume.shape[1:]), len(axes))
    predict_views(network, volume, [View(axis) for axis in axes], config, CPU, sums)
    assert drawn.shape == (40, config.in_channels, 6, 6)
    for image in drawn:
        assert any(torch.equal(image, window) for window in network.seen)
    # What looks at a few slices sees them in the same way.
    others = Recorder()
    for axis in axes:
        predict_slices(others, volume, axis, config, CPU, chosen=[0, 3, 2])
    assert all(any(torch.equal(one, other) for other in network.seen) for one in others.seen)


def test_coordinates_tell_where_a_pixel_is() -> None:
    found = coordinates((3, 5, 9), 1, [2, 4], slice(1, 3), slice(4, None))
    assert found.shape == (2, 3, 2, 5)
    assert found[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0]
    assert found[1, :, 1, 4].tolist() == [1.0, 1.0, 1.0]
    assert coordinates((1, 5, 9), 0)[0, 0].tolist() == [[0.0] * 9] * 5


def test_augmentation_moves_coordinates_and_leaves_their_values(make_config: MakeConfig) -> None:
    everything = dict.fromkeys(
        ("intensity", "noise", "gamma", "bias_field", "low_resolution", "ghosting", "motion"), 1.0
    )
    section = make_config(
        augmentation={f"{name}_probability": value for name, value in everything.items()}
    ).augmentation
    places = torch.from_numpy(coordinates((4, 16, 16), 0))
    images = torch.cat([torch.rand(4, 2, 16, 16), places], 1)
    labels = torch.zeros(4, 16, 16, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    changed, _ = augment(images, labels, section, generator, 3)
    assert torch.equal(changed[:, 2:], places)
    assert not torch.equal(changed[:, :2], images[:, :2])
    turned = section.model_copy(update={"affine_probability": 1.0})
    moved, _ = augment(images, labels, turned, generator, 3)
    assert not torch.allclose(moved[:, 3:], places[:, 1:])
    assert torch.allclose(moved[:, 2], places[:, 0])
