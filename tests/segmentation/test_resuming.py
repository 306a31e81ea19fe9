"""Going on is for the same training only: whatever has changed is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slicewise.config import Config
from slicewise.dataset.cache import CachedCase
from slicewise.errors import CheckpointError, ModelError
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.resuming import resume_training
from slicewise.segmentation.training import Training

MakeConfig = Callable[..., Config]
Cases = Sequence[CachedCase]


@pytest.fixture(scope="module")
def started(
    make_config: MakeConfig, cases: Cases, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a training that stopped after two of six steps."""
    out = tmp_path_factory.mktemp("started")
    training = Training(make_config(data={"root": "/before"}), cases[:-1], cases[-1:], "0")
    for _ in range(2):
        training.step()
    training.save(out / "last.pt")
    return out


def test_goes_on_at_its_step(make_config: MakeConfig, cases: Cases, started: Path) -> None:
    training = resume_training(make_config(), cases[:-1], cases[-1:], "0", started)
    assert training.progress.step == 2
    assert training.step()["learning_rate"] > 0
    assert training.progress.step == 3


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("training.learning_rate", {"training": {"learning_rate": 0.05}}),
        ("network.features", {"network": {"features": (4, 12)}}),
        ("preprocessing.plane", {"preprocessing": {"plane": "coronal"}}),
        ("seed", {"seed": 6}),
        ("augmentation.noise_probability", {"augmentation": {"noise_probability": 0.5}}),
    ],
)
def test_a_changed_configuration(
    make_config: MakeConfig, cases: Cases, started: Path, key: str, change: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError) as caught:
        resume_training(make_config(**change), cases[:-1], cases[-1:], "0", started)
    assert caught.value.where == str(started / "last.pt")
    assert caught.value.expected.startswith(f"{key}: ")
    assert "`resume`" in caught.value.remedy


def test_all_changed_keys_are_named(make_config: MakeConfig, cases: Cases, started: Path) -> None:
    config = make_config(seed=6, training={"batch_size": 5})
    with pytest.raises(CheckpointError) as caught:
        resume_training(config, cases[:-1], cases[-1:], "0", started)
    assert "seed: 5, not 6" in caught.value.expected
    assert "training.batch_size: 6, not 5" in caught.value.expected


@pytest.mark.parametrize(
    "budget", [{"steps": 6}, {"steps": None, "epochs": 3}, {"steps": None, "budget_minutes": 1}]
)
def test_the_budget_of_the_first_start_holds(
    make_config: MakeConfig, cases: Cases, started: Path, budget: dict[str, Any]
) -> None:
    config = make_config(training=budget | {"precision": "auto"})
    training = resume_training(config, cases[:-1], cases[-1:], "0", started)
    assert training.config.training.steps == 6
    assert training.config.training.precision == "float32"


def test_other_steps_are_refused(make_config: MakeConfig, cases: Cases, started: Path) -> None:
    config = make_config(training={"steps": 99})
    with pytest.raises(CheckpointError, match=r"training\.steps: 99"):
        resume_training(config, cases[:-1], cases[-1:], "0", started)


def test_the_data_may_have_moved(make_config: MakeConfig, cases: Cases, started: Path) -> None:
    config = make_config(data={"root": "/after"})
    training = resume_training(config, cases[:-1], cases[-1:], "0", started)
    assert training.config.data.root == Path("/after")


@pytest.mark.fault(64, "E")
@pytest.mark.parametrize("side", ["train", "val"])
def test_a_changed_scan_is_named(
    make_config: MakeConfig, cases: Cases, started: Path, side: str
) -> None:
    number = 1 if side == "train" else 3
    changed = [
        replace(case, key="other") if position == number else case
        for position, case in enumerate(cases)
    ]
    with pytest.raises(CheckpointError) as caught:
        resume_training(make_config(), changed[:-1], changed[-1:], "0", started)
    assert caught.value.found == f"changed: {cases[number].name}"


def test_a_missing_and_a_new_scan_are_named(
    make_config: MakeConfig, cases: Cases, started: Path
) -> None:
    train = [*cases[1:-1], replace(cases[0], name="new")]
    with pytest.raises(CheckpointError, match="no longer there: a; not there then: new"):
        resume_training(make_config(), train, cases[-1:], "0", started)


def test_another_fold(make_config: MakeConfig, cases: Cases, started: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        resume_training(make_config(), cases[:-1], cases[-1:], "1", started)
    assert (caught.value.expected, caught.value.found) == ("fold 0", "fold 1")


@pytest.mark.fault(115, "E")
def test_nothing_to_resume(make_config: MakeConfig, cases: Cases, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing was saved yet") as caught:
        resume_training(make_config(), cases[:-1], cases[-1:], "0", tmp_path)
    assert caught.value.where == str(tmp_path)
    assert "without `resume`" in caught.value.remedy


def test_a_damaged_checkpoint_offers_the_other(
    make_config: MakeConfig, cases: Cases, started: Path, tmp_path: Path
) -> None:
    content = bytearray((started / "last.pt").read_bytes())
    (tmp_path / "best.pt").write_bytes(content)
    content[len(content) // 2] ^= 1
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256") as caught:
        resume_training(make_config(), cases[:-1], cases[-1:], "0", tmp_path)
    assert str(tmp_path / "best.pt") in caught.value.remedy


def test_the_state_of_another_version(
    make_config: MakeConfig, cases: Cases, started: Path, tmp_path: Path
) -> None:
    saved = load_checkpoint(started / "last.pt")
    assert saved.training_state is not None
    optimizer = saved.training_state["optimization"]["optimizer"]
    optimizer["param_groups"].append(optimizer["param_groups"][0])
    save_checkpoint(saved, tmp_path / "last.pt")
    with pytest.raises(CheckpointError, match="a state of another version") as caught:
        resume_training(make_config(), cases[:-1], cases[-1:], "0", tmp_path)
    assert f"`initial` {tmp_path / 'last.pt'}" in caught.value.remedy
