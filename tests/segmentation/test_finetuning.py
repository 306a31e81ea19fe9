"""Fine-tuning: what means the same is taken over; what does not is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from slicewise.config import Config, as_yaml
from slicewise.dataset.cache import CachedCase
from slicewise.errors import CheckpointError
from slicewise.segmentation.checkpoint import Checkpoint, load_checkpoint
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.training import Training
from slicewise.segmentation.unet import UNet
from slicewise.segmentation.validation import ValidationScore, validate

MakeConfig = Callable[..., Config]
LABELS = {"front": 1, "back": 2}


def a_network(config: Config, seed: int) -> UNet:
    """Random weights, running means and all."""
    network = UNet.from_config(config).eval()
    random = torch.Generator().manual_seed(seed)
    for value in network.state_dict().values():
        if value.is_floating_point():
            # Above 0, as variances are.
            value.copy_(torch.rand(value.shape, generator=random) * 0.2 + 0.05)
    return network


def a_checkpoint(config: Config) -> Checkpoint:
    return Checkpoint(as_yaml(config), a_network(config, 1).state_dict(), None, {})


def started(config: Config, other: Config) -> tuple[UNet, UNet, list[str]]:
    """The network of a model, one that was started from it, and what was said."""
    network = a_network(other, 2)
    checkpoint = a_checkpoint(config)
    said = start_from(network, checkpoint, other, "model.pt")
    return a_network(config, 1), network, said


def contrasts(*names: str, context: int = 0, **network: Any) -> dict[str, Any]:
    return {
        "data": {"labels": LABELS, "contrasts": names},
        "network": {"context_slices": context, **network},
    }


def test_everything_fits_the_same_task(make_config: MakeConfig) -> None:
    config = make_config(**contrasts("T1", "T2", residual=True))
    # Values of the labels, dropout and window change no weight.
    other = make_config(**contrasts("T1", "T2", residual=True, dropout=0.1, window=(32, 24)))
    model, network, said = started(config, other)
    assert said == []
    for name, value in model.state_dict().items():
        assert torch.equal(network.state_dict()[name], value), name


@pytest.mark.parametrize("labels", [{"front": 1, "top": 2}, {"back": 1, "front": 2}])
def test_outputs_of_other_structures_start_anew(
    make_config: MakeConfig, labels: dict[str, int]
) -> None:
    sections = contrasts("T1", deep_supervision=True, features=(4, 8, 16))
    config = make_config(**sections)
    other = make_config(**sections | {"data": {"labels": labels, "contrasts": ("T1",)}})
    model, network, said = started(config, other)
    assert said == [f"the outputs start from scratch: {', '.join(labels)} instead of front, back"]
    own, learned = a_network(other, 2).state_dict(), model.state_dict()
    for name, value in network.state_dict().items():
        anew = name.startswith(("final_conv", "level_convs"))
        assert torch.equal(value, own[name] if anew else learned[name]), name
        assert anew != torch.equal(value, learned[name]) or value.numel() == 0


def test_outputs_of_lower_levels_may_be_new(make_config: MakeConfig) -> None:
    config = make_config(**contrasts("T1", features=(4, 8, 16)))
    other = make_config(**contrasts("T1", features=(4, 8, 16), deep_supervision=True))
    model, network, said = started(config, other)
    assert said == ["the outputs of the lower levels start from scratch: the model has none"]
    slices = torch.rand(2, 1, 16, 16)
    assert torch.equal(network(slices), model(slices))
    _, back, said = started(other, config)
    assert said == []
    assert torch.equal(back(slices), model(slices))


@pytest.mark.parametrize("residual", [False, True])
def test_a_new_contrast_changes_nothing_at_first(make_config: MakeConfig, residual: bool) -> None:
    config = make_config(**contrasts("T1", "T2", context=1, residual=residual))
    other = make_config(**contrasts("FLAIR", "T2", "T1", context=1, residual=residual))
    model, network, said = started(config, other)
    assert said == ["the first convolution starts at zero for FLAIR"]
    slices = torch.rand(2, 9, 16, 16)
    # Neighbours, then contrasts: T1 and T2 of each of three slices.
    same = slices[:, [2, 1, 5, 4, 8, 7]]
    torch.testing.assert_close(network(slices), model(same))


def test_neighbours_join_the_outermost_one(make_config: MakeConfig) -> None:
    config = make_config(**contrasts("T1", "T2", context=2))
    other = make_config(**contrasts("T1", "T2", context=1))
    model, network, said = started(config, other)
    assert said == ["the first convolution takes the outermost neighbours for those beyond"]
    before, here, after = torch.rand(3, 2, 2, 16, 16)
    torch.testing.assert_close(
        network(torch.cat([before, here, after], 1)),
        model(torch.cat([before, before, here, after, after], 1)),
    )
    wider, network, said = started(other, config)
    assert said == ["the first convolution starts at zero for the neighbours further away"]
    far = torch.rand(2, 2, 16, 16)
    torch.testing.assert_close(
        network(torch.cat([far, before, here, after, far], 1)),
        wider(torch.cat([before, here, after], 1)),
    )


def test_coordinates_come_and_go(make_config: MakeConfig) -> None:
    plain = make_config(**contrasts("T1", "T2", context=1))
    placed = make_config(**contrasts("T1", "T2", coordinates=True))
    slices, places = torch.rand(2, 2, 16, 16), torch.rand(2, 3, 16, 16)
    model, network, said = started(placed, placed)
    assert said == []
    seen = torch.cat([slices, places], 1)
    torch.testing.assert_close(network(seen), model(seen))
    model, network, said = started(plain, placed)
    assert said[1:] == ["the first convolution starts at zero for the coordinates"]
    around = torch.cat([slices] * 3, 1)
    torch.testing.assert_close(network(seen), model(around))
    _, _, said = started(placed, plain)
    assert said[1:] == ["the first convolution forgets the coordinates"]


def test_fewer_contrasts_keep_the_deviation(make_config: MakeConfig) -> None:
    config = make_config(**contrasts("T1", "T2", "FLAIR", "PD"))
    other = make_config(**contrasts("FLAIR"))
    model, network, said = started(config, other)
    assert said == ["the first convolution forgets T1, T2, PD"]
    name = "downs.0.conv.0.weight"
    # One of four channels: the root of 4.
    expected = 2 * model.state_dict()[name][:, 2:3]
    torch.testing.assert_close(network.state_dict()[name], expected)


def test_the_first_convolution_of_other_contrasts_starts_anew(make_config: MakeConfig) -> None:
    config, other = (make_config(**contrasts(name)) for name in ("T1", "T2"))
    _, network, said = started(config, other)
    assert said == [
        "the first convolution starts from scratch: it is to see T2, and has learned T1",
    ]
    name = "downs.0.conv.0.weight"
    assert torch.equal(network.state_dict()[name], a_network(other, 2).state_dict()[name])


@pytest.mark.parametrize(
    ("network", "found", "remedy"),
    [
        ({"features": (4, 8, 16)}, "features [4,8]", "network.features=[4,8]"),
        (
            {"normalization": "instance"},
            "normalization batch",
            "network.normalization=batch",
        ),
        ({"activation": "gelu"}, "activation relu", "network.activation=relu"),
        ({"residual": True}, "residual false", "network.residual=false"),
    ],
)
def test_another_architecture_is_refused(
    make_config: MakeConfig, network: dict[str, Any], found: str, remedy: str
) -> None:
    config = make_config()
    other = make_config(network=network)
    target = a_network(other, 2)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        start_from(target, a_checkpoint(config), other, "model.pt")
    assert caught.value.where == "model.pt: network"
    assert caught.value.found == found
    assert remedy in caught.value.remedy
    for name, value in target.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_checkpoint_that_misses_its_own_weights_is_refused(make_config: MakeConfig) -> None:
    config = make_config()
    checkpoint = a_checkpoint(config)
    del checkpoint.model["ups.0.weight"]
    with pytest.raises(CheckpointError, match=r"1 missing: ups\.0\.weight"):
        start_from(a_network(config, 2), checkpoint, config, "model.pt")


class Silent:
    def on_step(self, step: int, values: dict[str, float]) -> None:
        pass

    def on_validation(self, step: int, score: ValidationScore) -> None:
        pass


def test_a_known_task_begins_better_than_from_scratch(
    make_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path
) -> None:
    def training(steps: int, name: str) -> Training:
        section = {"steps": steps, "learning_rate": 0.02, "ema_decay": None}
        return Training(
            make_config(data={"labels": {name: 1}}, training=section), cases[:-1], cases[-1:], "0"
        )

    learned = training(40, "disc")
    learned.run(tmp_path / "model", Silent())
    scratch, tuned = training(5, "lump"), training(5, "lump")
    checkpoint = load_checkpoint(tmp_path / "model" / "last.pt")
    assert isinstance(tuned.network, UNet)
    said = start_from(tuned.network, checkpoint, tuned.config, "model.pt")
    assert said == ["the outputs start from scratch: lump instead of disc"]
    dice = {}
    for name, one in (("scratch", scratch), ("tuned", tuned)):
        one.run(tmp_path / name, Silent())
        dice[name] = validate(one.model, cases[-1:], one.config, one.device).mean
    assert dice["tuned"] > dice["scratch"] + 0.1, dice


def test_the_checkpoint_is_not_touched(make_config: MakeConfig) -> None:
    config = make_config(**contrasts("T1", "T2"))
    checkpoint = a_checkpoint(config)
    copy = replace(checkpoint, model={n: v.clone() for n, v in checkpoint.model.items()})
    network = a_network(make_config(**contrasts("T2", "T1")), 2)
    start_from(network, checkpoint, make_config(**contrasts("T2", "T1")), "model.pt")
    with torch.no_grad():
        for value in network.state_dict().values():
            value.zero_()
    for name, value in copy.model.items():
        assert torch.equal(checkpoint.model[name], value), name
