"""The checkpoints that the folder of a training names as its model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slicewise.config import Config
from slicewise.errors import DataError, ModelError
from slicewise.tracking.run_folder import RunFolder


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    for name in ("fold-0", "fold-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        config = Config.defaults(training={"steps": 1})
        RunFolder(tmp_path / name).finish(config, {})
    return tmp_path


def test_what_lies_beside_the_folds_is_none(folds: Path) -> None:
    (folds / "fold-0.log").write_text("what the training printed")
    assert RunFolder(folds).checkpoints() == [folds / "fold-0/last.pt", folds / "fold-1/last.pt"]


def test_a_fold_that_did_not_come_to_its_end(folds: Path) -> None:
    (folds / "fold-1" / "model.json").unlink()
    with pytest.raises(ModelError, match="a finished training") as caught:
        RunFolder(folds).checkpoints()
    assert caught.value.where == str(folds / "fold-1")


@pytest.mark.fault(119, "E")
def test_a_fold_that_was_lost_is_missed(folds: Path) -> None:
    content = {"fold-0/last.pt": "0", "fold-1/last.pt": "0", "inference.yaml": "0"}
    RunFolder(folds).write_ensemble(content, "models:/all/1")
    assert len(RunFolder(folds).checkpoints()) == 2
    shutil.rmtree(folds / "fold-1")
    for read in (RunFolder(folds).checkpoints, RunFolder(folds).results):
        with pytest.raises(DataError, match="no folder fold-1"):
            read()


def test_a_lost_checkpoint_of_a_finished_training(folds: Path) -> None:
    (folds / "fold-0" / "last.pt").unlink()
    assert RunFolder(folds / "fold-0").checkpoints() == [folds / "fold-0" / "last.pt"]
