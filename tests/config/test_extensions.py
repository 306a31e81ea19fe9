"""Names of other packages, offered by entry points that only these tests know."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from slicewise.config import NETWORKS, Config, Section, as_yaml, extensions, parse_config
from slicewise.config.base import Positive
from slicewise.errors import ConfigError, ConfigErrors

TEXT = "name: trial\ndata: {labels: {core: 1}}\ntraining:\n  steps: 1\n"
Offer = Callable[..., None]


class Options(Section):
    """Of what this file offers."""

    width: Positive = 4


def network(_options: Options, *_: object) -> str:
    return "built"


def refusing(options: Options, *_: object) -> str:
    raise ValueError(f"width {options.width} is odd")


def without_annotation(options, *_) -> None:  # noqa: ANN001, ANN002
    pass


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Let packages offer something: ``group``, then name and object of this file."""

    def offer(group: str, *named: tuple[str, str]) -> None:
        points = EntryPoints(
            EntryPoint(name, f"{__name__}:{value}", group) for name, value in named
        )
        monkeypatch.setattr(extensions, "entry_points", points.select)
        monkeypatch.setitem(__import__("sys").modules, __name__, _This)

    return offer


class _This:
    network = staticmethod(network)
    refusing = staticmethod(refusing)
    without_annotation = staticmethod(without_annotation)


def mistakes(text: str, *overrides: str) -> dict[str, ConfigError]:
    with pytest.raises(ConfigErrors) as caught:
        parse_config(text, "a.yaml", overrides)
    return {mistake.where: mistake for mistake in caught.value.mistakes}


def test_options_are_validated_filled_and_written(offer: Offer) -> None:
    offer("slicewise.networks", ("theirs", "network"))
    config = parse_config(TEXT + "network:\n  name: theirs\n", "a.yaml")
    assert config.network.options == Options(width=4)
    written = as_yaml(config)
    assert "width: 4" in written
    assert "features" not in written
    assert parse_config(written, "b.yaml") == config
    assert NETWORKS.build("theirs", config.network.options, 1, 1, (8, 8)) == "built"


def test_wrong_options_are_named_with_their_lines(offer: Offer) -> None:
    offer("slicewise.networks", ("theirs", "network"))
    text = TEXT + "network:\n  name: theirs\n  options:\n    width: 0\n    wdth: 3\n"
    found = mistakes(text)
    assert set(found) == {"a.yaml:8: network.options.width", "a.yaml:9: network.options.wdth"}
    unknown = found["a.yaml:9: network.options.wdth"]
    assert (unknown.expected, unknown.found) == ("an option of theirs: width", "'wdth'")
    (mistake,) = mistakes(TEXT, "network.name=theirs", "network.options.width=-2").values()
    assert mistake.where == "`settings` network.options.width=-2"


@pytest.mark.parametrize(
    ("section", "where", "known"),
    [
        ("network:\n  name: theirs\n", "a.yaml:6: network.name", "attention_unet, dynunet"),
        ("  loss: theirs\n", "a.yaml:5: training.loss", "dice, dice_ce"),
        (
            "augmentation:\n  additional:\n    theirs: {}\n",
            "a.yaml:7: augmentation.additional.theirs",
            "none is",
        ),
    ],
)
def test_a_name_that_is_not_installed_lists_what_is(section: str, where: str, known: str) -> None:
    found = mistakes(TEXT + section)
    assert set(found) == {where}
    assert known in found[where].expected
    assert "install the package" in found[where].remedy


@pytest.mark.parametrize("name", ["os.system", "os:system", "slicewise.segmentation.unet:UNet"])
def test_an_import_path_is_no_name(name: str) -> None:
    assert set(mistakes(TEXT, f"network.name={name}")) == {f"`settings` network.name={name}"}


def test_packages_that_cannot_be_used_are_named(offer: Offer) -> None:
    group = "slicewise.networks"
    offer(group, ("bare", "without_annotation"), ("gone", "gone"), ("a", "network"), ("a", "gone"))
    for name, expected in (
        ("bare", "first parameter of bare, to be a slicewise.config.Section"),
        ("gone", "a network that can be imported"),
        ("a", "one package that offers the network a"),
    ):
        (mistake,) = mistakes(TEXT + f"network:\n  name: {name}\n").values()
        assert expected in mistake.expected


def test_an_error_of_the_package_becomes_one_of_the_configuration(offer: Offer) -> None:
    offer("slicewise.losses", ("theirs", "refusing"))
    config = parse_config(TEXT + "  loss: theirs\n  loss_options: {width: 3}\n", "a.yaml")
    with pytest.raises(ConfigError, match="width 3 is odd"):
        extensions.LOSSES.build("theirs", config.training.loss_options, 1)


def test_keys_of_the_unet_are_not_ignored_by_another_network() -> None:
    found = mistakes(TEXT + "network:\n  name: segresnet\n  features: [8, 16]\n  dropout: 0.1\n")
    (mistake,) = found.values()
    assert "the options of segresnet" in mistake.expected
    assert mistake.found == "features, dropout, which the network unet has"
    assert mistakes(TEXT + "network: {options: {features: [3]}}\n")


def test_another_network_on_the_command_line_replaces_that_of_the_file() -> None:
    text = TEXT + "network:\n  features: [8, 16]\n  context_slices: 2\n"
    options = ("network.options.init_filters=16", "network.name=segresnet")
    config = parse_config(text, "a.yaml", options)
    assert config.network.name == "segresnet"
    assert config.network.context_slices == 2
    assert config.network.options.model_dump()["init_filters"] == 16
    back = parse_config(as_yaml(config), "b.yaml", ["network.name=unet"])
    assert back.network.options.model_dump() == {}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("name: segresnet, options: {init_filters: 12}", "multiple of 8"),
        ("name: segresnet, options: {blocks_down: [1, 1]}", "one number fewer"),
        ("name: attention_unet, options: {channels: [4]}", "at least 2 items"),
        ("name: flexible_unet, options: {backbone: vgg}", "'resnet18'"),
        ("name: dynunet, options: {filters: [4, 8]}", "at least 3 items"),
        ("name: segresnet, window: [8, 64]", "at least 16 x 16"),
    ],
)
def test_options_of_monai_are_checked(options: str, expected: str) -> None:
    found = mistakes(TEXT + f"network: {{{options}}}\n")
    assert expected in " ".join(mistake.expected for mistake in found.values())


def test_a_trained_model_does_without_its_loss_and_augmentations() -> None:
    text = TEXT + "  loss: theirs\n  loss_options: {width: 3}\n"
    text += "augmentation: {additional: {gone: {p: 1}}}\n"
    config = parse_config(text, "a.yaml", trained=True)
    again: Any = parse_config(as_yaml(config), "b.yaml", trained=True)
    assert again == config
    assert isinstance(config, Config)
    (where,) = _refused(TEXT + "network: {name: theirs}\n")
    assert where.endswith("network.name")


def _refused(text: str) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        parse_config(text, "a.yaml", trained=True)
    return [mistake.where for mistake in caught.value.mistakes]
