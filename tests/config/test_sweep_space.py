"""A file of a sweep: every mistake with its line, and values that the configuration refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import Config, load_space, parse_config, with_values
from slicewise.errors import ConfigErrors

CONFIG = """
name: tiny
data: {labels: {core: 3}}
network: {features: [4, 8], window: [16, 16]}
training: {steps: 4}
"""


@pytest.fixture
def config() -> Config:
    return parse_config(CONFIG, "tiny")


def _mistakes(text: str, config: Config, tmp_path: Path) -> list[str]:
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        load_space(path, config)
    return [str(mistake) for mistake in caught.value.mistakes]


def test_the_field_tells_whether_numbers_are_whole(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "trials: 2\n"
        "parameters:\n"
        "  training.batch_size: {low: 2, high: 8, step: 2}\n"
        "  training.learning_rate: {low: 0.001, high: 0.1, log: true}\n"
        "  training.gradient_clip_norm: {low: 1, high: 2}\n"
        "  network.window: {choices: [[16, 16], [32, 32]]}\n"
    )
    kinds = load_space(path, config).kinds
    assert dict(kinds) == {
        "training.batch_size": "int",
        "training.learning_rate": "float",
        "training.gradient_clip_norm": "float",
        "network.window": "other",
    }


def test_all_mistakes_come_at_once_with_their_lines(config: Config, tmp_path: Path) -> None:
    text = (
        "trials: 0\n"
        "samplr: tpe\n"
        "parameters:\n"
        "  training.learning_rate: {low: 2, high: 1}\n"
        "  training.loss: {choices: [dice], log: true}\n"
    )
    found = "\n".join(_mistakes(text, config, tmp_path))
    for line in (1, 2, 4, 5):
        assert f"sweep.yaml:{line}: " in found
    assert "did you mean 'sampler'?" in found


@pytest.mark.parametrize(
    ("parameter", "found"),
    [
        ("data.fold_seed: {low: 1, high: 2}", "move cases between folds"),
        ("data.labels: {choices: [{a: 1}, {b: 1}]}", "change what is scored"),
        ("preprocessing.spacing_mm: {choices: [null, [1, 1]]}", "change what is scored"),
        ("seed: {low: 1, high: 2}", "change what is scored"),
        ("training.steps: {low: 1, high: 2}", "same budget"),
        ("training.learning_rat: {low: 1, high: 2}", "the keys of training are"),
        ("nothing: {low: 1, high: 2}", "nothing"),
        ("training.learning_rate.x: {low: 1, high: 2}", "learning_rate.x"),
        ("training.loss: {low: 1, high: 2}", "not a number"),
        ("training.channels_last: {low: 0, high: 1}", "not a number"),
        ("training.batch_size: {low: 1.5, high: 2}", "whole numbers"),
        ("training.batch_size: {low: 0, high: 2}", "0"),
        ("training.optimizer: {choices: [adamw, adamm]}", "'adamm'"),
        ("network.window: {choices: [[16, 16], [2, 2]]}", "a window of at least 4 x 4"),
        ("training.weight_decay: {low: 0, high: 1, step: 0.3}", "whole number of steps"),
        ("training.weight_decay: {low: 0, high: 1, log: true}", "low above 0"),
        ("training.weight_decay: {low: 0}", "either low and high"),
        ("training.weight_decay: {high: 0, choices: [1, 2]}", "either low and high"),
        ("training.weight_decay: {low: 0, high: .inf}", "finite"),
        ("training.loss: {choices: [dice, dice]}", "different values"),
    ],
)
def test_a_mistake(config: Config, tmp_path: Path, parameter: str, found: str) -> None:
    (mistake,) = _mistakes(f"trials: 1\nparameters:\n  {parameter}\n", config, tmp_path)
    assert "sweep.yaml:3" in mistake
    assert found in mistake


def test_a_sweep_without_an_end_or_without_keys(config: Config, tmp_path: Path) -> None:
    text = "parameters: {training.batch_size: {low: 1, high: 2}}"
    assert "trials, minutes" in _mistakes(text, config, tmp_path)[0]
    assert "at least one key" in _mistakes("trials: 1\nparameters: {}", config, tmp_path)[0]


def test_a_value_that_some_combination_accepts_is_left_to_the_trials(
    config: Config, tmp_path: Path
) -> None:
    path = tmp_path / "sweep.yaml"
    # Five levels need a window of 32.
    path.write_text(
        "minutes: 1\nparameters:\n"
        "  network.features: {choices: [[4], [4, 4, 4, 4, 4]]}\n"
        "  network.window: {choices: [[16, 16], [32, 32]]}\n"
    )
    load_space(path, config)
    with pytest.raises(ConfigErrors, match="a window of at least"):
        with_values(config, {"network.features": [4] * 5, "network.window": [16, 16]})
    assert with_values(config, {"network.window": [32, 32]}).network.window == (32, 32)
