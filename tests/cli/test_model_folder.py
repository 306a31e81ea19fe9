"""A folder of a training in, its checkpoints out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slicewise.cli.model_folder import FINISHED, checkpoints_in
from slicewise.errors import ModelError


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    for name in ("fold-0", "fold-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "last.pt").touch()
        (tmp_path / name / FINISHED).write_text(json.dumps({"checkpoint": "last.pt"}))
    return tmp_path


def test_what_lies_beside_the_folds_is_none(folds: Path) -> None:
    (folds / "fold-0.log").write_text("what the training printed")
    assert checkpoints_in(folds) == [folds / "fold-0/last.pt", folds / "fold-1/last.pt"]


def test_a_fold_that_did_not_come_to_its_end(folds: Path) -> None:
    (folds / "fold-1" / FINISHED).unlink()
    with pytest.raises(ModelError, match="came to its end") as caught:
        checkpoints_in(folds)
    assert caught.value.where == str(folds / "fold-1")
