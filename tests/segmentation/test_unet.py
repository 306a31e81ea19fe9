"""The U-Net against a functional rewriting of its description, and its promises one by one."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from slicewise.config import Config
from slicewise.errors import GeometryError, ScanError
from slicewise.segmentation.networks import init_output_bias
from slicewise.segmentation.unet import DoubleConv, UNet

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def small_unet(**options: object) -> UNet:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return UNet(2, 3, (4, 6), **options)


def slices(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7))


def with_foreign_statistics(network: UNet) -> UNet:
    """Running means and deviations as training leaves them, so that their use shows."""
    generator = torch.Generator().manual_seed(11)
    for name, values in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")) or values.ndim == 1:
            values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
    return network.eval()


def reference_double_conv(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    for convolution, norm in ((0, 1), (3, 4)):
        x = functional.conv2d(x, weights[f"{name}.conv.{convolution}.weight"], padding=1)
        x = functional.batch_norm(
            x,
            weights[f"{name}.conv.{norm}.running_mean"],
            weights[f"{name}.conv.{norm}.running_var"],
            weights[f"{name}.conv.{norm}.weight"],
            weights[f"{name}.conv.{norm}.bias"],
        )
        x = torch.clamp(x, min=0)
    return x


def reference_unet(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Two levels, written out from the description."""
    top = reference_double_conv(x, weights, "downs.0")
    middle = reference_double_conv(functional.max_pool2d(top, 2), weights, "downs.1")
    x = reference_double_conv(functional.max_pool2d(middle, 2), weights, "bottleneck")
    for skip, up, conv in ((middle, "ups.0", "ups.1"), (top, "ups.2", "ups.3")):
        x = functional.conv_transpose2d(x, weights[f"{up}.weight"], weights[f"{up}.bias"], stride=2)
        if x.shape[-2:] != skip.shape[-2:]:
            x = functional.interpolate(x, skip.shape[-2:], mode="bilinear")
        x = reference_double_conv(torch.cat([skip, x], 1), weights, conv)
    return functional.conv2d(x, weights["final_conv.weight"], weights["final_conv.bias"])


@pytest.mark.parametrize("size", [(16, 24), (17, 16), (16, 19), (13, 23), (4, 4), (5, 7)])
def test_output_equals_the_functional_reference(size: tuple[int, int]) -> None:
    network = with_foreign_statistics(small_unet())
    x = slices(2, 2, *size)
    with torch.no_grad():
        found, expected = network(x), reference_unet(x, network.state_dict())
    assert found.shape == (2, 3, *size)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_channels_last_gives_the_same_logits() -> None:
    network = with_foreign_statistics(small_unet())
    x = slices(2, 2, 13, 16)
    with torch.no_grad():
        expected = network(x)
        network.to(memory_format=torch.channels_last)
        found = network(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_classic_default_has_its_known_parameter_count() -> None:
    network = UNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 31_037_633
    assert network.features == (64, 128, 256, 512)


def classic_names() -> list[str]:
    double_convs = ["downs.0", "downs.1", "downs.2", "downs.3"]
    double_convs += ["ups.1", "ups.3", "ups.5", "ups.7", "bottleneck"]
    names = [f"{block}.conv.{index}.weight" for block in double_convs for index in (0, 3)]
    names += [
        f"{block}.conv.{index}.{part}"
        for block, index, part in itertools.product(double_convs, (1, 4), BATCH_NORM)
    ]
    names += [f"ups.{index}.{part}" for index in (0, 2, 4, 6) for part in ("weight", "bias")]
    return [*names, "final_conv.weight", "final_conv.bias"]


def test_parameters_carry_the_names_of_the_classic_layout() -> None:
    assert sorted(UNet().state_dict()) == sorted(classic_names())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu"])
@pytest.mark.parametrize("normalization", ["batch", "instance"])
def test_options_do_not_shift_names(normalization: str, activation: str, dropout: float) -> None:
    classic = dict(small_unet().named_parameters())
    network = small_unet(normalization=normalization, activation=activation, dropout=dropout)
    optional = dict(network.named_parameters())
    assert list(optional) == list(classic)
    assert [item.shape for item in optional.values()] == [item.shape for item in classic.values()]
    assert network(slices(2, 2, 9, 12)).shape == (2, 3, 9, 12)


@pytest.mark.parametrize("in_channels", [1, 3, 5])
@pytest.mark.parametrize("out_channels", [1, 4])
@pytest.mark.parametrize("features", [(4,), (3, 5, 7)])
def test_any_channels_classes_and_levels(
    in_channels: int, out_channels: int, features: tuple[int, ...]
) -> None:
    network = UNet(in_channels, out_channels, features)
    assert network(slices(2, in_channels, 11, 18)).shape == (2, out_channels, 11, 18)


@pytest.mark.parametrize("deep_supervision", [False, True])
@pytest.mark.parametrize("class_priors", [[0.9995, 0.0005], [0.9, 0.09, 0.01]])
def test_an_untrained_network_predicts_its_class_priors(
    class_priors: list[float], deep_supervision: bool
) -> None:
    channels = 1 if len(class_priors) == 2 else len(class_priors)
    network = UNet(3, channels, (4, 6, 8), deep_supervision=deep_supervision)
    init_output_bias(network, torch.tensor(class_priors))
    # What features say differs from place to place; without them only the bias speaks.
    for conv in (network.final_conv, *network.level_convs):
        torch.nn.init.zeros_(conv.weight)
    for logits in network.levels(slices(2, 3, 32, 32)):
        answer = logits.sigmoid() if channels == 1 else logits.softmax(dim=1)[:, 1:]
        means = answer.mean(dim=(0, 2, 3))
        assert means.tolist() == pytest.approx(class_priors[1:], rel=1e-4)


def test_gradient_reaches_every_parameter() -> None:
    network = small_unet(activation="gelu", dropout=0.1)
    network(slices(2, 2, 13, 16)).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_dropout_silences_whole_channels_in_training_only() -> None:
    block = small_unet(dropout=0.5).downs[0]
    torch.manual_seed(0)
    silent = (block(slices(64, 2, 8, 8)) == 0).all(dim=(2, 3)).float().mean()
    assert 0.35 < silent < 0.65
    block.eval()
    x = slices(2, 2, 8, 8)
    assert torch.equal(block(x), block(x))


def test_instance_normalisation_ignores_the_rest_of_the_batch() -> None:
    network = small_unet(normalization="instance")
    x = slices(3, 2, 12, 16)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (1, 1)])
def test_slice_too_small_for_the_poolings_is_an_error_with_sizes(size: tuple[int, int]) -> None:
    network = UNet(1, 1, (2, 2, 2, 2)).eval()
    assert network(slices(1, 1, 16, 16)).shape == (1, 1, 16, 16)
    with pytest.raises(GeometryError) as caught:
        network(slices(1, 1, *size))
    assert "at least 16 x 16" in caught.value.expected
    assert f"{size[0]} x {size[1]}" in caught.value.found


def test_one_value_a_channel_cannot_be_normalised() -> None:
    with pytest.raises(GeometryError, match="more than one value"):
        small_unet(normalization="instance").eval()(slices(2, 2, 4, 4))
    with pytest.raises(GeometryError, match="more than one value"):
        small_unet()(slices(1, 2, 4, 4))
    assert small_unet()(slices(2, 2, 4, 4)).shape == (2, 3, 4, 4)


@pytest.mark.parametrize("shape", [(1, 3, 16, 16), (2, 16, 16), (1, 2, 4, 16, 16)])
def test_wrong_channels_are_an_error_with_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ScanError) as caught:
        small_unet()(slices(*shape))
    assert "(N, 2, H, W)" in caught.value.expected
    assert str(shape) in caught.value.found


@pytest.mark.parametrize("options", [{"normalization": "layer"}, {"activation": "swish"}])
def test_unknown_option_is_an_error(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        small_unet(**options)


def test_no_level_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one level"):
        UNet(features=())


def test_config_decides_channels_and_options() -> None:
    config = Config.model_validate(
        {
            "name": "two-contrasts",
            "data": {"contrasts": ["t1", "t2"], "labels": {"edema": 1, "core": 2}},
            "network": {
                "features": [4, 8],
                "context_slices": 2,
                "normalization": "instance",
                "activation": "leaky_relu",
                "dropout": 0.2,
            },
            "training": {"steps": 1},
        }
    )
    network = UNet.from_config(config)
    assert (network.in_channels, network.out_channels, network.features) == (10, 3, (4, 8))
    kinds = {type(module).__name__ for module in network.modules()}
    assert {"InstanceNorm2d", "LeakyReLU", "Dropout2d"} <= kinds
    assert not {"BatchNorm2d", "ReLU", "GELU"} & kinds


def test_compiles_to_one_graph() -> None:
    network = with_foreign_statistics(small_unet())
    x = slices(2, 2, 13, 16)
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), network(x))


def test_autocast_gives_finite_logits_near_full_precision() -> None:
    network = with_foreign_statistics(small_unet())
    x = slices(2, 2, 13, 16)
    with torch.no_grad():
        expected = network(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(x)
    torch.testing.assert_close(found.float(), expected, rtol=0.1, atol=0.1 * expected.abs().max())


def test_a_residual_block_adds_its_input_before_the_last_activation() -> None:
    block = DoubleConv(3, 5, residual=True).eval()
    x = slices(2, 3, 6, 7)
    *convolutions, _ = block.conv
    y = x
    for layer in convolutions:
        y = layer(y)
    assert isinstance(block.shortcut, nn.Conv2d)
    expected = functional.relu(y + block.shortcut(x))
    assert torch.equal(block(x), expected)
    alike = DoubleConv(4, 4, residual=True)
    assert not list(alike.shortcut.parameters())


@pytest.mark.parametrize("option", ["residual", "deep_supervision"])
def test_options_keep_the_names_of_the_classic_parameters(option: str) -> None:
    classic = set(small_unet().state_dict())
    assert classic < set(UNet(2, 3, (4, 6, 8), **{option: True}).state_dict()) | classic
    assert classic <= set(small_unet(**{option: True}).state_dict())


def test_supervised_levels_halve_the_size() -> None:
    network = UNet(2, 3, (4, 6, 8, 10), deep_supervision=True).eval()
    x = slices(2, 2, 33, 40)
    levels = network.levels(x)
    assert [tuple(level.shape) for level in levels] == [
        (2, 3, 33, 40),
        (2, 3, 16, 20),
        (2, 3, 8, 10),
    ]
    assert torch.equal(levels[0], network(x))
    assert len(small_unet().levels(slices(1, 2, 8, 8))) == 1


def test_every_level_is_learned_from() -> None:
    network = UNet(2, 3, (4, 6, 8, 10), deep_supervision=True)
    sum(level.sum() for level in network.levels(slices(2, 2, 32, 32))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
