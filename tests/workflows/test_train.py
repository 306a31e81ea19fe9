"""Trainings that are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import parse_config
from slicewise.errors import OutputError
from slicewise.imaging.locking import sole_user
from slicewise.workflows.train import TrainOptions, train

CONFIG = """
name: core
data: {root: absent, labels: {core: 1}}
network: {features: [4, 8], window: [16, 16], context_slices: 0}
training: {steps: 4, validations: 1, batch_size: 4}
"""


@pytest.mark.fault(78, "E")
@pytest.mark.parametrize(("fold", "held"), [(0, "."), (None, "."), (None, "fold-1")])
def test_a_folder_in_which_another_training_runs(
    tmp_path: Path, fold: int | None, held: str
) -> None:
    options = TrainOptions(parse_config(CONFIG, "test"), fold, tmp_path, tmp_path / "work")
    with sole_user(tmp_path / held), pytest.raises(OutputError, match="holds it since"):
        train(options)
