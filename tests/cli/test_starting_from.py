"""A training that starts from a model says so, keeps its word when resumed, and leaks no folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from slicewise.imaging.files import sha256_of
from slicewise.segmentation.checkpoint import load_checkpoint
from slicewise.tracking.run_folder import RunFolder

pytestmark = pytest.mark.slow

Slicewise = Callable[..., Any]
# So short a training moves no weight that can be seen.
STILL = ("--set", "training.steps=1", "--set", "training.learning_rate=1e-12")


@pytest.fixture(scope="module")
def place(scans: Path, work: Path) -> tuple[object, ...]:
    return ("--set", f"data.root={scans}", "--work", work)


@pytest.fixture(scope="module")
def tuned(
    slicewise: Slicewise,
    tiny: Path,
    model: Path,
    place: tuple[object, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, str]:
    """The folder of a training that starts from the model, and its notes."""
    out = tmp_path_factory.mktemp("tuned") / "model"
    done = slicewise("train", tiny, *place, *STILL, "--from", model, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stderr


def test_the_weights_are_those_of_the_model(tuned: tuple[Path, str], model: Path) -> None:
    first = load_checkpoint(model / "last.pt").model
    second = load_checkpoint(tuned[0] / "last.pt").model
    name = "downs.0.conv.0.weight"
    torch.testing.assert_close(second[name], first[name], atol=1e-6, rtol=0)


def test_the_run_tells_where_it_started(tuned: tuple[Path, str], model: Path, work: Path) -> None:
    from slicewise.tracking.store import open_store

    out, notes = tuned
    assert "starting from tiny, fold 0, step 4" in notes
    facts = json.loads((out / "model.json").read_text())
    assert facts["initial"] == "tiny, fold 0, step 4"
    assert facts["initial_sha256"] == sha256_of(model / "last.pt")
    tags = open_store(work).client.get_run(facts["run"]).data.tags
    assert tags["slicewise.initial"] == "tiny, fold 0, step 4"
    for text in ((out / "model.json").read_text(), (out / "initial.json").read_text(), str(tags)):
        assert str(model.parent) not in text


def test_known_held_out_cases_are_named(
    slicewise: Slicewise, tiny: Path, model: Path, place: tuple[object, ...], tmp_path: Path
) -> None:
    # What fold 1 holds out, fold 0 has learned from.
    arguments = (*place, *STILL, "--fold", "1", "--out", tmp_path / "m")
    done = slicewise("train", tiny, *arguments, "--from", model)
    assert done.returncode == 0, done.stderr
    assert "the scores are then optimistically biased" in done.stderr
    assert (
        "the scores are then optimistically biased"
        not in slicewise(
            "train", tiny, *place, *STILL, "--from", model, "--out", tmp_path / "other"
        ).stderr
    )


def test_another_set_of_labels(
    slicewise: Slicewise, tiny: Path, place: tuple[object, ...], tmp_path: Path
) -> None:
    config = tmp_path / "two.yaml"
    config.write_text(tiny.read_text().replace("{core: 3}", "{core: 3, rim: 5}"))
    arguments = (*place, *STILL, "--out", tmp_path / "m", "--from", "models:/tiny/1")
    done = slicewise("train", config, *arguments)
    assert done.returncode == 0, done.stderr
    assert "the outputs start from scratch" in done.stderr
    assert json.loads((tmp_path / "m" / "model.json").read_text())["initial"] == "models:/tiny/1"


def test_resuming_keeps_to_the_start(
    slicewise: Slicewise,
    tiny: Path,
    model: Path,
    tuned: tuple[Path, str],
    place: tuple[object, ...],
    tmp_path: Path,
) -> None:
    out = tmp_path / "m"
    shutil.copytree(tuned[0], out)
    (out / "model.json").unlink()
    arguments = (*place, *STILL, "--out", out, "--resume")
    other = slicewise("train", tiny, *arguments, "--from", tuned[0] / "last.pt")
    assert other.returncode == 2
    assert "the same start" in other.stderr
    for more in ((), ("--from", model)):
        done = slicewise("train", tiny, *arguments, *more)
        assert done.returncode == 0, done.stderr
        # A training that goes on keeps what it has learned since.
        assert "starting from" not in done.stderr
        assert json.loads((out / "model.json").read_text())["initial"] == "tiny, fold 0, step 4"


def test_all_folds_start_from_the_same(
    slicewise: Slicewise,
    tiny: Path,
    model: Path,
    tuned: tuple[Path, str],
    place: tuple[object, ...],
    tmp_path: Path,
) -> None:
    shutil.copytree(tuned[0], tmp_path / "all" / "fold-0")
    arguments = (*place, *STILL, "--fold", "all", "--out", tmp_path / "all", "--resume")
    forgotten = slicewise("train", tiny, *arguments)
    assert forgotten.returncode == 2
    assert "--resume without --from" in forgotten.stderr
    assert slicewise("train", tiny, *arguments, "--from", model).returncode == 0
    facts = [RunFolder(tmp_path / "all" / f"fold-{number}").initial_facts() for number in range(2)]
    assert facts[0] == facts[1] != {}


def test_replacing_a_training_forgets_its_start(
    slicewise: Slicewise,
    tiny: Path,
    tuned: tuple[Path, str],
    place: tuple[object, ...],
    tmp_path: Path,
) -> None:
    shutil.copytree(tuned[0], tmp_path / "m")
    done = slicewise("train", tiny, *place, *STILL, "--out", tmp_path / "m", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "m" / "initial.json").exists()
    assert "initial" not in json.loads((tmp_path / "m" / "model.json").read_text())


def refused(slicewise: Slicewise, code: int, *arguments: object) -> str:
    done = slicewise("train", *arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return str(done.stderr)


def test_starts_that_are_none(
    slicewise: Slicewise, tiny: Path, model: Path, tmp_path: Path
) -> None:
    """All are refused before a scan is read: there is none."""
    arguments = (tiny, "--set", f"data.root={tmp_path / 'none'}", "--work", tmp_path / "w")
    damaged = bytearray((model / "last.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 4
    (tmp_path / "last.pt").write_bytes(damaged)
    assert "sha256" in refused(slicewise, 1, *arguments, "--from", tmp_path / "last.pt")
    assert "no/such" in refused(slicewise, 1, *arguments, "--from", "no/such")
    assert "no.model" in refused(slicewise, 1, *arguments, "--from", "models:/no.model@champion")
    other = ("--set", "network.features=[4,12]", "--from", model)
    assert "features" in refused(slicewise, 1, *arguments, *other)
    for number in range(2):
        shutil.copytree(model, tmp_path / "all" / f"fold-{number}")
    assert "2, one per fold" in refused(slicewise, 2, *arguments, "--from", tmp_path / "all")


def test_a_damaged_note_of_the_start(
    slicewise: Slicewise,
    tiny: Path,
    model: Path,
    tuned: tuple[Path, str],
    place: tuple[object, ...],
    tmp_path: Path,
) -> None:
    shutil.copytree(tuned[0], tmp_path / "m")
    (tmp_path / "m" / "initial.json").write_text("{")
    arguments = (tiny, *place, *STILL, "--out", tmp_path / "m", "--resume", "--from", model)
    assert "initial.json" in refused(slicewise, 1, *arguments)
