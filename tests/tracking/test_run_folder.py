"""The checkpoints that the folder of a training names as its model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slicewise.errors import ModelError
from slicewise.tracking.run_folder import RunFolder


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    for name in ("fold-0", "fold-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        (tmp_path / name / "model.json").write_text(json.dumps({"checkpoint": "last.pt"}))
    return tmp_path


def test_what_lies_beside_the_folds_is_none(folds: Path) -> None:
    (folds / "fold-0.log").write_text("what the training printed")
    assert RunFolder(folds).checkpoints() == [folds / "fold-0/last.pt", folds / "fold-1/last.pt"]


def test_a_fold_that_did_not_come_to_its_end(folds: Path) -> None:
    (folds / "fold-1" / "model.json").unlink()
    with pytest.raises(ModelError, match="a finished training") as caught:
        RunFolder(folds).checkpoints()
    assert caught.value.where == str(folds / "fold-1")
