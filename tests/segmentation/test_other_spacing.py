"""A scan of another spacing gets the mask that it would have at that of the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom
from torch import nn
from torch.nn import functional as F

from slicewise.config import Config, as_yaml
from slicewise.dataset.preprocessing import Preprocessing
from slicewise.dataset.training_spacing import TrainingSpacing
from slicewise.imaging.volume import Volume
from slicewise.metrics.overlap import overlap
from slicewise.segmentation.checkpoint import SPACING, Checkpoint, save_checkpoint
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.unet import UNet

MakeConfig = Callable[..., Config]
CPU = torch.device("cpu")
TRAINED = TrainingSpacing((1.4, 1.4), (1.5, 1.5), (1.5, 1.5))
PLAIN = {"plane": "axial", "foreground": "all", "clip_percentiles": (0, 100)}


class SmallDiscs(nn.Module):
    """Finds discs of some six pixels across; what is twice as wide is no such disc."""

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        x = windows[:, windows.shape[1] // 2, None]
        around = F.avg_pool2d(x, 25, stride=1, padding=12, count_include_pad=False)
        inside = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        is_small = F.max_pool2d(around, 9, stride=1, padding=4) < 1.2
        return torch.where(is_small & (inside > 4), 20.0, -20.0)


@pytest.fixture
def config(make_config: MakeConfig) -> Config:
    return make_config(
        preprocessing=PLAIN, network={"features": (4,), "window": (64, 64), "context_slices": 0}
    )


def phantom(spacing_mm: tuple[float, float, float] = (1.5, 1.5, 4.0)) -> Volume:
    """A disc of nine millimetres' diameter, off the middle and oblique in the room."""
    rows, columns = np.mgrid[:56, :48]
    disc = (rows - 20) ** 2 + (columns - 27) ** 2 <= 3.3**2
    voxels = np.zeros((56, 48, 5), np.float32)
    voxels[disc, 1:4] = 100
    voxels += np.random.default_rng(0).normal(0, 2, voxels.shape)
    turn = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * spacing_mm
    affine[:3, 3] = (-30, 12, 7)
    return Volume(voxels, affine, "scan")


def half_as_wide(scan: Volume) -> Volume:
    """The same scan with twice the pixels, half as wide, in the same place."""
    voxels = zoom(scan.voxels, (2, 2, 1), order=1, grid_mode=True, mode="nearest")
    affine = scan.affine.copy()
    affine[:3, :2] /= 2
    affine[:3, 3] -= affine[:3, :2].sum(1) / 2
    return Volume(voxels, affine, "fine")


def test_pixels_half_as_wide(config: Config) -> None:
    predictor = Predictor(config, [Member(SmallDiscs(), config, spacing=TRAINED)], CPU)
    scan = phantom()
    fine = half_as_wide(scan)
    mask, found = predictor.predict(scan), predictor.predict(fine)
    assert np.count_nonzero(mask.voxels) > 90
    assert found.shape == fine.shape
    # Twice as many pixels along both axes.
    wide = np.repeat(np.repeat(mask.voxels, 2, 0), 2, 1)
    assert overlap(found.voxels, wide, 1).dice > 0.9
    assert mask.notes == ()
    assert found.notes == (
        "the spacing differs from that of the training; resampled to 1.5 x 1.5 mm for the "
        "prediction",
    )
    # Without it the disc is too large to be found.
    unaware = Predictor(config, [Member(SmallDiscs(), config)], CPU)
    assert overlap(unaware.predict(fine).voxels, wide, 1).dice < 0.1


def test_nothing_changes_for_a_scan_that_agrees(config: Config) -> None:
    torch.manual_seed(0)
    network = UNet.from_config(config).eval()
    scan = phantom((1.55, 1.35, 4.0))
    aware, unaware = (
        Predictor(config, [Member(network, config, spacing=known)], CPU).predict(scan)
        for known in (TRAINED, None)
    )
    np.testing.assert_array_equal(aware.probabilities[1].voxels, unaware.probabilities[1].voxels)
    assert aware.notes == ()


def test_members_that_differ_only_in_training_share_the_preprocessing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TrainingSpacing((1.5, 1.5), (1.6, 1.6), (1.7, 1.7))
    members = [Member(SmallDiscs(), config, spacing=known) for known in (TRAINED, other)]
    done: list[Volume] = []
    plain = Preprocessing.from_volumes

    def counted(self: Preprocessing, volumes: list[Volume]) -> object:
        done.extend(volumes)
        return plain(self, volumes)

    monkeypatch.setattr(Preprocessing, "from_volumes", counted)
    predictor = Predictor(config, members, CPU)
    predictor.predict(phantom())
    assert len(done) == 1
    found = predictor.predict(half_as_wide(phantom()))
    assert len(done) == 3
    assert len(found.notes) == 2


def test_a_model_remembers_it(config: Config, tmp_path: Path) -> None:
    weights = UNet.from_config(config).state_dict()
    path = tmp_path / "last.pt"
    save_checkpoint(Checkpoint(as_yaml(config), weights, None, {SPACING: asdict(TRAINED)}), path)
    (member,) = Predictor.from_checkpoint(path).members
    assert member.spacing == TRAINED
    fine = half_as_wide(phantom())
    assert member.preprocessing_of(fine).spacing_mm == (1.5, 1.5)
    other = tmp_path / "other.pt"
    save_checkpoint(Checkpoint(as_yaml(config), weights, None, {SPACING: None}), other)
    assert Predictor.from_checkpoint(path).made_by != Predictor.from_checkpoint(other).made_by
