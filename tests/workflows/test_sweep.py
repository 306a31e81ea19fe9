"""What a sweep keeps of the best trial, and which of its trials is the largest."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from slicewise.config import Config, load_space, parse_config, with_overrides
from slicewise.tracking.runs import TrackedRun
from slicewise.workflows.sweep import _largest, keep_best


def test_the_best_configuration_trains_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["data.root=scans", "data.labels={core: 3}", "training.batch_size=5"]
    config = with_overrides(Config.defaults("sweep"), settings)
    run = create_autospec(TrackedRun, instance=True)
    keep_best(config, tmp_path / "best.yaml", run)
    kept = parse_config((tmp_path / "best.yaml").read_text(), "best.yaml")
    assert kept.data.root == tmp_path / "scans"
    assert (kept.training.batch_size, kept.data.labels) == (5, {"core": 3})
    run.log_text.assert_called_once()
    text, file = run.log_text.call_args.args
    assert file == "best.yaml"
    assert str(tmp_path) not in text
    assert parse_config(text, "tracked").data.root is None


def test_the_largest_trial_decides_about_memory(tmp_path: Path) -> None:
    space = tmp_path / "sweep.yaml"
    space.write_text("""
trials: 3
parameters:
  training.learning_rate: {low: 0.0001, high: 0.1, log: true}
  training.batch_size: {low: 2, high: 24, step: 2}
  network.features: {choices: [[16, 32], [64, 128], [4, 8, 16]]}
  network.window: {choices: [[64, 64], [32, 32]]}
""")
    config = with_overrides(Config.defaults("sweep"), ["training.device=cpu"])
    largest = _largest(config, load_space(space, config))
    assert largest.training.batch_size == 24
    assert (largest.network.features, largest.network.window) == ((64, 128), (64, 64))


def test_values_that_the_configuration_refuses_are_no_trial(tmp_path: Path) -> None:
    space = tmp_path / "sweep.yaml"
    space.write_text("""
trials: 3
parameters:
  network.features: {choices: [[4, 8], [64]]}
  network.deep_supervision: {choices: [true, false]}
""")
    small = ["network.features=[4, 8, 16]", "training.device=cpu"]
    config = with_overrides(Config.defaults("sweep"), small)
    largest = _largest(config, load_space(space, config))
    assert largest.network.features == (64,)
    assert not largest.network.deep_supervision
