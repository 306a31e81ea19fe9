"""A network for each plane: each learns from its own slices and is shown no others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.config import Config, as_yaml
from pipeline.dataset.cache import CachedCase
from pipeline.dataset.plane import PLANES
from pipeline.errors import CheckpointError
from pipeline.imaging.volume import Volume
from pipeline.segmentation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.segmentation.finetuning import start_from
from pipeline.segmentation.inference import Predictor
from pipeline.segmentation.plane_networks import PlaneNetworks, build_network, network_of
from pipeline.segmentation.resuming import resume_training
from pipeline.segmentation.training import Training
from pipeline.segmentation.unet import UNet
from pipeline.segmentation.validation import ValidationScore

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]
APART: dict[str, Any] = {"preprocessing": {"plane": "all"}, "network": {"per_plane": True}}


class Silent:
    def on_step(self, step: int, values: dict[str, float]) -> None:
        pass

    def on_validation(self, step: int, score: ValidationScore) -> None:
        pass


def seeded(config: Config, seed: int) -> UNet | PlaneNetworks:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_network(config)


def saved(config: Config, network: torch.nn.Module, path: Path) -> Path:
    save_checkpoint(Checkpoint(as_yaml(config), network.state_dict(), None, {}), path)
    return path


def structure(scan: Volume, *paths: Path) -> NDArray[Any]:
    found = Predictor.from_checkpoint(*paths).predict_with_probabilities(scan)
    return found.probabilities[1].voxels


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_one_network_is_shown_every_view(make_config: MakeConfig) -> None:
    network = seeded(make_config(preprocessing={"plane": "all"}), 1)
    assert isinstance(network, UNet)
    assert [network_of(network, view) for view in range(3)] == [network] * 3


def test_a_view_belongs_to_its_plane(make_config: MakeConfig) -> None:
    networks = seeded(make_config(**APART), 1)
    assert isinstance(networks, PlaneNetworks)
    for view, plane in enumerate(PLANES):
        assert network_of(networks, view) is networks.of_plane(plane)
    assert not equal(networks.of_plane("coronal"), networks.of_plane("axial"))
    assert "networks.coronal.downs.0.conv.0.weight" in networks.state_dict()


def test_it_predicts_as_three_models_of_one_plane_do(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    voxels = np.random.default_rng(0).normal(100, 20, (23, 19, 17)).astype(np.float32)
    scan = Volume(voxels, np.diag([1.0, 1.1, 0.9, 1.0]), "scan").reoriented("LPS")
    config = make_config(**APART)
    networks = seeded(config, 1)
    assert isinstance(networks, PlaneNetworks)
    together = saved(config, networks, tmp_path / "together.pt")
    apart = [
        saved(
            make_config(preprocessing={"plane": plane}),
            networks.of_plane(plane),
            tmp_path / f"{plane}.pt",
        )
        for plane in PLANES
    ]
    np.testing.assert_allclose(structure(scan, together), structure(scan, *apart), atol=1e-6)
    assert np.abs(structure(scan, together) - structure(scan, apart[0])).max() > 1e-3


def test_a_step_changes_the_network_of_its_plane_alone(
    make_config: MakeConfig, cases: Cases
) -> None:
    training = Training(make_config(**APART), cases[:-1], cases[-1:], "0")
    networks = training.network
    assert isinstance(networks, PlaneNetworks)
    for step in range(6):
        before = {p: [v.clone() for v in networks.of_plane(p).parameters()] for p in PLANES}
        training.step()
        changed = [
            plane
            for plane in PLANES
            if any(
                not torch.equal(old, new)
                for old, new in zip(
                    before[plane], networks.of_plane(plane).parameters(), strict=True
                )
            )
        ]
        assert changed == [PLANES[step % 3]]


def test_the_running_average_falls_behind_as_one_of_a_single_network_does(
    make_config: MakeConfig, cases: Cases
) -> None:
    """In a turn of three steps, what a network was fades by the configured decay."""
    config = make_config(**APART | {"training": {"ema_decay": 0.1, "steps": 60}})
    training = Training(config, cases[:-1], cases[-1:], "0")
    assert training.average is not None
    for _ in range(30):  # Until the decay has grown to its value.
        training.step()
    name = "networks.sagittal.final_conv.bias"
    before = training.model.state_dict()[name].clone()
    training.step()  # The one step in which sagittal slices are learned from ...
    now = training.network.state_dict()[name].clone()
    for _ in range(2):  # ... and two in which they are not.
        training.step()
    assert torch.equal(training.network.state_dict()[name], now)
    torch.testing.assert_close(training.model.state_dict()[name], before.lerp(now, 0.9))


def test_it_learns_and_resumes_bit_for_bit(
    make_config: MakeConfig, cases: Cases, tmp_path: Path
) -> None:
    config = make_config(**APART | {"training": {"steps": 60, "batch_size": 8}})
    training = Training(config, cases[:-1], cases[-1:], "0")
    progress = training.run(tmp_path / "whole", Silent())
    assert np.mean(progress.losses[-6:]) < 0.6 * np.mean(progress.losses[:6])
    begun = Training(config, cases[:-1], cases[-1:], "0")
    for _ in range(16):  # In the middle of a turn.
        begun.step()
    begun.save(tmp_path / "parts" / "last.pt")
    resumed = resume_training(config, cases[:-1], cases[-1:], "0", tmp_path / "parts")
    resumed.run(tmp_path / "parts", Silent())
    whole, parts = (
        load_checkpoint(tmp_path / name / "last.pt").model for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


class TestFineTuning:
    def start(self, old: Config, new: Config) -> tuple[Any, Any]:
        """What was learned, and what started from it."""
        learned, network = seeded(old, 1), seeded(new, 2)
        checkpoint = Checkpoint(as_yaml(old), learned.state_dict(), None, {})
        assert start_from(network, checkpoint, new, "model.pt") == []
        return learned, network

    def test_each_from_its_own_plane(self, make_config: MakeConfig) -> None:
        config = make_config(**APART)
        assert equal(*self.start(config, config))

    def test_all_from_one_that_has_seen_all(self, make_config: MakeConfig) -> None:
        shared = make_config(preprocessing={"plane": "all"})
        learned, networks = self.start(shared, make_config(**APART))
        assert all(equal(learned, networks.of_plane(plane)) for plane in PLANES)

    def test_one_plane_from_its_own(self, make_config: MakeConfig) -> None:
        coronal = make_config(preprocessing={"plane": "coronal"})
        learned, network = self.start(make_config(**APART), coronal)
        assert equal(learned.of_plane("coronal"), network)

    def test_what_starts_anew_is_said_once(self, make_config: MakeConfig) -> None:
        old = make_config(**APART)
        new = make_config(**APART | {"data": {"labels": {"lump": 1}}})
        checkpoint = Checkpoint(as_yaml(old), seeded(old, 1).state_dict(), None, {})
        said = start_from(seeded(new, 2), checkpoint, new, "model.pt")
        assert said == ["the outputs start anew: lump instead of disc"]

    @pytest.mark.parametrize("plane", ["all", "thickest"])
    def test_three_do_not_fit_into_one(self, make_config: MakeConfig, plane: str) -> None:
        old, new = make_config(**APART), make_config(preprocessing={"plane": plane})
        checkpoint = Checkpoint(as_yaml(old), seeded(old, 1).state_dict(), None, {})
        with pytest.raises(CheckpointError, match="a network for each plane") as caught:
            start_from(seeded(new, 2), checkpoint, new, "model.pt")
        assert "--set network.per_plane=true" in caught.value.remedy
