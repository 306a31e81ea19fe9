"""What a sweep keeps of the best trial."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import create_autospec

import pytest

from slicewise.config import Config, parse_config, with_overrides
from slicewise.tracking.runs import TrackedRun
from slicewise.workflows.sweep import keep_best


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
