"""Trainings that are refused before anything is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from slicewise.config import parse_config
from slicewise.errors import OutputError, UsageError
from slicewise.imaging.locking import sole_user
from slicewise.workflows.prepare import PrepareOptions, prepare
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


def test_a_training_is_continued_or_replaced_but_not_both(tmp_path: Path) -> None:
    config = parse_config(CONFIG, "test")
    options = TrainOptions(config, 0, tmp_path, tmp_path / "work", resume=True, overwrite=True)
    with pytest.raises(UsageError, match="both"):
        train(options)


@pytest.mark.parametrize("option", ["out", "work"])
def test_a_training_writes_nothing_into_its_data_set(tmp_path: Path, option: str) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    places = {"out": tmp_path / "model", "work": tmp_path / "work", option: data / "images" / "x"}
    config = parse_config(CONFIG, "test", [f"data.root={data}"])
    with pytest.raises(UsageError, match="outside of the input") as caught:
        train(TrainOptions(config, 0, **places))
    assert caught.value.where.startswith(f"`{option}`")
    with pytest.raises(UsageError, match="outside of the input"):
        prepare(PrepareOptions(config, data / "work"))
    assert [path.name for path in data.rglob("*")] == ["images"]


def test_a_file_is_no_folder_for_a_training(tmp_path: Path) -> None:
    out = tmp_path / "file"
    out.touch()
    with pytest.raises(OutputError, match="a file"):
        train(TrainOptions(parse_config(CONFIG, "test"), 0, out, tmp_path / "work"))
