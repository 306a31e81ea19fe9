"""What a run wrote is read back; a damaged file is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from slicewise.config import Config, as_yaml
from slicewise.errors import DataError
from slicewise.evaluation.results import (
    RunFacts,
    read_results,
    write_losses,
    write_results,
)
from slicewise.evaluation.scores import Score
from slicewise.metrics.calibration import BINS, Reliability

CONFIG = Config.model_validate(
    {"name": "toy", "data": {"labels": {"core": 3}}, "training": {"steps": 7}}
)
FACTS = RunFacts(
    "toy", "network", 2, "by patient", 9, 8, 70, 3, 2, 0, {"odd": "flat"}, 12.5, "1", "2026-01-02"
)
SCORE = Score("a", "p", "core", "false negative", 0, 0, 0, math.nan, math.nan, math.nan, 0, 0, 2.5)
BINS_OF_CORE = Reliability((1,) * BINS, (0.5,) * BINS, (0,) * BINS)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(as_yaml(CONFIG))
    write_results(tmp_path, FACTS, [SCORE], {"core": BINS_OF_CORE})
    write_losses(tmp_path / "losses.csv", [4.0, 2.0, 1.0, 3.0, 0.5], rows=2)
    (tmp_path / "history.jsonl").write_text('{"step": 5, "mean": 0.5, "core": 0.5}\n')
    return tmp_path


def test_everything_comes_back(run: Path) -> None:
    (found,) = read_results(run)
    assert found.facts == FACTS
    assert found.config == CONFIG
    assert found.reliability == {"core": BINS_OF_CORE}
    assert found.validations == ({"step": 5, "mean": 0.5, "core": 0.5},)
    # Five steps in two rows: means over three and over two.
    assert found.losses == ((3, pytest.approx(7 / 3, rel=1e-5)), (5, 1.75))
    (score,) = found.scores
    assert (score.state, score.reference_ml) == ("false negative", 2.5)
    assert math.isnan(score.hd95_mm)


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(as_yaml(CONFIG))
    (found,) = read_results(tmp_path)
    assert found.facts is None
    assert (found.scores, found.losses, found.validations) == ((), (), ())


def test_folds_in_their_order(tmp_path: Path) -> None:
    for number in (1, 0):
        (tmp_path / f"fold-{number}").mkdir()
        (tmp_path / f"fold-{number}" / "config.yaml").write_text(as_yaml(CONFIG))
    assert [item.folder.name for item in read_results(tmp_path)] == ["fold-0", "fold-1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("results.json", "{"),
        ("results.json", '{"facts": {}, "reliability": {}}'),
        ("history.jsonl", "{"),
        ("losses.csv", "step,loss\n1,much\n"),
        ("scores.csv", "case\n"),
        ("config.yaml", "\x00"),
    ],
)
def test_a_damaged_file_is_named(run: Path, name: str, text: str) -> None:
    (run / name).write_text(text)
    with pytest.raises(Exception, match=name):
        read_results(run)


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config\.yaml"):
        read_results(tmp_path)
