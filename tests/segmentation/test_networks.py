"""MONAI's networks under the contract: shapes, odd sizes, training, resuming, and refusals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from slicewise.config import NETWORKS, Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import CheckpointError, ConfigError, ScanError
from slicewise.segmentation.architecture import describe_layers
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.networks import NetworkAdapter, build_network, init_output_bias
from slicewise.segmentation.resuming import resume_training
from slicewise.segmentation.sliding_window import predict_slices
from slicewise.segmentation.training import Training

MakeConfig = Callable[..., Config]
SMALL: dict[str, dict[str, Any]] = {
    "segresnet": {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
    "attention_unet": {"channels": (4, 8)},
    "flexible_unet": {"backbone": "resnet10", "decoder_channels": (16, 8, 8, 4, 4)},
    "dynunet": {"filters": (4, 8, 8, 8), "deep_supervision": True},
}


class Silent:
    def on_step(self, step: int, values: dict[str, float]) -> None: ...

    def on_validation(self, step: int, score: object) -> None: ...


@pytest.fixture
def monai_config(make_config: MakeConfig) -> MakeConfig:
    """A configuration with one of MONAI's networks, as small as it gets."""

    def make(name: str, **sections: Any) -> Config:
        config = make_config(**sections).model_dump(mode="json")
        config["network"] = {
            "name": name,
            "options": SMALL[name],
            "context_slices": config["network"]["context_slices"],
            "window": (64, 64) if name == "flexible_unet" else (16, 16),
        }
        return Config.model_validate(config)

    return make


def test_every_name_of_ours_is_tried_here() -> None:
    assert set(NETWORKS.own) == {"unet", *SMALL}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 64), (65, 79), (33, 40)])
def test_logits_have_the_size_of_the_slices(
    monai_config: MakeConfig, name: str, size: tuple[int, int]
) -> None:
    network = build_network(monai_config(name, data={"labels": {"disc": 1, "ring": 2}}))
    slices = torch.randn(2, 3, *size)
    for logits in (network.eval()(slices), *network.train().levels(slices)):
        assert logits.shape == (2, 3, *size)


@pytest.mark.parametrize("name", SMALL)
def test_padding_is_cropped_where_it_was_added(monai_config: MakeConfig, name: str) -> None:
    network = build_network(monai_config(name)).eval()
    padded = torch.randn(1, 3, 64, 64)
    padded[:, :, 63:] = padded[:, :, 62:63]
    assert isinstance(network, NetworkAdapter)
    torch.testing.assert_close(
        network(padded[:, :, :63]), network.network(padded)[:, :, :63], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("name", SMALL)
def test_an_untrained_network_predicts_its_class_priors(
    monai_config: MakeConfig, name: str
) -> None:
    network = build_network(monai_config(name, data={"labels": {"disc": 1, "ring": 2}}))
    init_output_bias(network, torch.tensor([0.9, 0.09, 0.01]))
    assert len(network.outputs) >= 1
    for output in network.outputs:
        nn.init.zeros_(output.get_parameter("weight"))
    for logits in network.levels(torch.randn(2, 3, 64, 64)):
        means = logits.softmax(1).mean((0, 2, 3))
        assert means.tolist() == pytest.approx([0.9, 0.09, 0.01], rel=1e-4)


@pytest.mark.parametrize("name", SMALL)
def test_trains_predicts_and_resumes_bit_for_bit(
    monai_config: MakeConfig, cases: Sequence[CachedCase], name: str, tmp_path: Path
) -> None:
    config = monai_config(name, training={"steps": 2, "validations": 2})
    whole = Training(config, cases[:3], cases[3:], "0")
    whole.run(tmp_path / "whole", Silent())
    part = Training(config, cases[:3], cases[3:], "0")
    part.step()
    part.save(tmp_path / "part" / "last.pt")
    resumed = resume_training(config, cases[:3], cases[3:], "0", tmp_path / "part")
    resumed.run(tmp_path / "part", Silent())
    for key, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[key]), key
    (member,) = Predictor.from_checkpoint(tmp_path / "whole" / "last.pt").members
    seen = predict_slices(
        member.network, torch.randn(1, 3, 20, 18), 0, member.config, torch.device("cpu")
    )
    assert seen.shape == (3, 1, 20, 18)
    assert load_checkpoint(tmp_path / "whole" / "last.pt").facts["network"] == name


@pytest.mark.parametrize("name", SMALL)
def test_layers_add_up(monai_config: MakeConfig, name: str) -> None:
    network = build_network(monai_config(name))
    rows = describe_layers(network, 64, 64)
    assert {"Conv2d"} <= {row.kind for row in rows}
    # Heads of deep supervision are left out of a prediction.
    heads = [one for key, one in network.named_parameters() if "heads" in key or "superhead" in key]
    skipped = sum(one.numel() for one in heads)
    total = sum(one.numel() for one in network.parameters())
    assert total - skipped <= sum(row.parameters for row in rows) <= total


def test_a_checkpoint_names_the_package_that_is_missing(
    monai_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    Training(monai_config("segresnet"), cases, [], "0").save(path)
    checkpoint = load_checkpoint(path)
    text = checkpoint.config_yaml.replace("segresnet", "their_net")
    facts = checkpoint.facts | {"network": "their_net", "network_package": "their-package 1.2"}
    save_checkpoint(
        type(checkpoint)(text, checkpoint.model, checkpoint.training_state, facts), path
    )
    with pytest.raises(CheckpointError, match="install their-package") as caught:
        Predictor.from_checkpoint(path)
    assert "segresnet" in caught.value.found


def test_a_checkpoint_without_the_name_of_its_network_holds_a_unet(
    make_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    Training(make_config(), cases, [], "0").save(path)
    checkpoint = load_checkpoint(path)
    lines = checkpoint.config_yaml.splitlines()
    older = [line for line in lines if line not in ("  name: unet", "  options: {}")]
    assert len(older) == len(lines) - 2
    facts = {key: value for key, value in checkpoint.facts.items() if "network" not in key}
    text = "\n".join(older)
    save_checkpoint(type(checkpoint)(text, checkpoint.model, None, facts), path)
    assert Predictor.from_checkpoint(path).config.network.name == "unet"


def test_fine_tuning_takes_all_but_the_outputs_of_other_structures(
    monai_config: MakeConfig, cases: Sequence[CachedCase], tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    Training(monai_config("segresnet"), cases, [], "0").save(path)
    checkpoint = load_checkpoint(path)
    config = monai_config("segresnet", data={"labels": {"lump": 1}})
    network = build_network(config)
    fresh = [one.clone() for one in network.outputs.parameters()]
    assert start_from(network, checkpoint, config, "model.pt") == [
        "the outputs start from scratch: lump instead of disc"
    ]
    assert all(map(torch.equal, fresh, network.outputs.parameters()))
    state = network.state_dict()
    outputs = [key for key, value in checkpoint.model.items() if not torch.equal(value, state[key])]
    assert outputs == ["network.conv_final.2.conv.weight", "network.conv_final.2.conv.bias"]
    other = monai_config("segresnet", data={"contrasts": ["t2"]})
    with pytest.raises(CheckpointError, match=r"data\.contrasts"):
        start_from(build_network(other), checkpoint, other, "model.pt")
    other = monai_config("dynunet")
    with pytest.raises(CheckpointError, match=r"network\.name=segresnet"):
        start_from(build_network(other), checkpoint, other, "model.pt")


class Wrong(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1, ::2]


def test_wrong_logits_and_wrong_channels_are_errors(monai_config: MakeConfig) -> None:
    network = NetworkAdapter(Wrong(), monai_config("segresnet"))
    with pytest.raises(ConfigError, match=r"\(2, 1, 16, 16\)"):
        network(torch.zeros(2, 3, 16, 16))
    with pytest.raises(ScanError, match=r"\(N, 3, H, W\)"):
        network(torch.zeros(2, 2, 16, 16))
