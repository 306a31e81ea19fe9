"""A sweep tries values, goes on where it stopped, and leaves a configuration that trains."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from slicewise.config import Space, load_config, load_space
from slicewise.errors import OutputError
from slicewise.workflows.sweep_study import SweepStudy, TrialReports

Slicewise = Callable[..., Any]
START = "import sys; from slicewise.cli.main import main; sys.argv[0] = 'slicewise'; main()"

SWEEP = """
trials: 3
sampler: random
pruner: {kind: none}
parameters:
  training.learning_rate: {low: 0.0001, high: 0.1, log: true}
  training.batch_size: {low: 2, high: 6, step: 2}
  network.window: {choices: [[16, 16], [24, 24]]}
"""


@pytest.fixture
def sweep_file(tmp_path: Path) -> Path:
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def space(tiny: Path, sweep_file: Path) -> Space:
    return load_space(sweep_file, load_config(tiny))


def trials_in(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "trials.csv").read_text().splitlines()))


@pytest.mark.slow
def test_trials_are_runs_below_one_and_the_best_trains(
    slicewise: Slicewise, tiny: Path, scans: Path, work: Path, sweep_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    arguments = ("sweep", tiny, sweep_file, "--set", f"data.root={scans}", "--out", out)
    done = slicewise(*arguments, "--work", work)
    assert done.returncode == 0, done.stderr
    assert "3 trials of " in done.stderr
    rows = trials_in(out)
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert len({row["training.learning_rate"] for row in rows}) == 3
    assert (out / "sweep.png").stat().st_size > 5000

    client = MlflowClient(f"sqlite:///{work.absolute()}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`slicewise.kind` = 'sweep'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId`='{parent.info.run_id}'")
    assert len(children) == 3
    dice = [run.data.metrics["validation.dice"] for run in children]
    assert parent.data.metrics["dice"] == pytest.approx(max(dice))
    best = load_config(out / "best.yaml")
    assert best.data.root == scans.absolute()
    assert done.stderr.rstrip().endswith(f"slicewise train {out}/best.yaml --fold 0 --work {work}")
    rates = [
        float(run.data.params["training.learning_rate"])
        for run in children
        if run.data.metrics["validation.dice"] == max(dice)
    ]
    assert best.training.learning_rate in [pytest.approx(rate) for rate in rates]
    # More trials in the file prolong it; the same command otherwise has nothing to do.
    sweep_file.write_text(SWEEP.replace("trials: 3", "trials: 4"))
    done = slicewise(*arguments, "--work", work)
    assert done.returncode == 0, done.stderr
    assert [row["trial"] for row in trials_in(out)] == list("0123")
    assert len(client.search_runs([experiment], "tags.`slicewise.kind` = 'sweep'")) == 1
    again = slicewise(*arguments, "--work", work)
    assert again.returncode == 0
    assert len(trials_in(out)) == 4
    trained = slicewise(
        *("train", out / "best.yaml", "--out", tmp_path / "model", "--work", work),
    )
    assert trained.returncode == 0, trained.stderr


@pytest.mark.slow
def test_trials_side_by_side(
    slicewise: Slicewise, tiny: Path, scans: Path, sweep_file: Path, tmp_path: Path
) -> None:
    out, work = tmp_path / "sweep", tmp_path / "work"
    arguments = ("sweep", tiny, sweep_file, "--set", f"data.root={scans}", "--out", out)
    done = slicewise(*arguments, "--work", work, "--parallel", "2")
    assert done.returncode == 0, done.stderr
    assert "trial 2: training.learning_rate=" in done.stderr
    rows = trials_in(out)
    assert [row["state"] for row in rows] == ["complete"] * 3
    assert len({row["training.learning_rate"] for row in rows}) == 3
    client = MlflowClient(f"sqlite:///{work.absolute()}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (parent,) = client.search_runs([experiment], "tags.`slicewise.kind` = 'sweep'")
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId`='{parent.info.run_id}'")
    assert {run.info.status for run in children} == {"FINISHED"}
    assert len(children) == 3


@pytest.mark.slow
def test_a_sweep_that_was_killed_tries_the_trial_again(
    slicewise: Slicewise, tiny: Path, scans: Path, work: Path, sweep_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "sweep"
    arguments = ["sweep", tiny, sweep_file, "--set", f"data.root={scans}", "--out", out]
    arguments += ["--work", work, "--set", "training.steps=60"]
    command = [sys.executable, "-c", START, *map(str, arguments)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("trial 2"):
                break
        # Until the trial has drawn its values.
        time.sleep(1)
        os.kill(process.pid, signal.SIGKILL)
    done = slicewise(*arguments)
    assert done.returncode == 0, done.stderr
    rows = trials_in(out)
    assert len(rows) == 3
    assert {row["state"] for row in rows} == {"complete"}


def test_given_up_values_come_again_and_do_not_count(space: Space, tmp_path: Path) -> None:
    study = SweepStudy(tmp_path, space, "key", 0)
    first, values = study.ask()
    study.tell(first, "complete", 0.5, 1.0)
    second, given_up = study.ask()
    assert second == 1
    assert values != given_up
    # As if the process had died here.
    study = SweepStudy(tmp_path, space, "key", 0)
    assert [item.number for item in study.outcomes] == [0]
    _, again = study.ask()
    assert again == given_up


def test_draws_go_on_anew_after_an_interruption(space: Space, tmp_path: Path) -> None:
    seen = []
    for _ in range(4):
        study = SweepStudy(tmp_path, space, "key", 0)
        trial, values = study.ask()
        study.tell(trial, "complete", 0.5, 1.0)
        seen.append(values["training.learning_rate"])
    assert len(set(seen)) == 4


def test_the_best_is_complete(space: Space, tmp_path: Path) -> None:
    study = SweepStudy(tmp_path, space, "key", 0)
    assert study.best is None
    for state, dice in (("pruned", 0.9), ("complete", 0.6), ("failed", None), ("complete", 0.7)):
        trial, values = study.ask()
        if dice is not None:
            TrialReports(tmp_path, space, trial).is_hopeless(dice)
        study.tell(trial, state, dice, 2.0)
        if dice == 0.7:
            wanted = values
    assert study.best is not None
    assert (study.best.number, study.best.dice) == (3, 0.7)
    assert study.best.values == wanted
    assert [item.state for item in study.outcomes] == [
        *("pruned", "complete", "failed", "complete")
    ]
    assert study.outcomes[0].dice == 0.9


def test_trials_that_run_together_have_other_values(space: Space, tmp_path: Path) -> None:
    narrow = {"training.batch_size": space.sweep.parameters["training.batch_size"]}
    section = space.sweep.model_copy(update={"parameters": narrow})
    study = SweepStudy(tmp_path, replace(space, sweep=section), "key", 0)
    numbers, values = zip(*(study.ask() for _ in range(3)), strict=True)
    assert sorted(item["training.batch_size"] for item in values) == [2, 4, 6]
    assert study.unfinished == 3
    assert study.outcomes == []
    study.tell(numbers[1], "complete", 0.5, 1.0)
    study.give_up()
    again = [study.ask()[1] for _ in range(2)]
    assert again == [values[0], values[2]]


def test_time_side_by_side_counts_once(space: Space, tmp_path: Path) -> None:
    study = SweepStudy(tmp_path, space, "key", 0)
    assert study.spent_seconds == 0
    begun = time.monotonic()
    numbers = [study.ask()[0] for _ in range(2)]
    time.sleep(0.05)
    for number in numbers:
        study.tell(number, "complete", 0.5, 1.0)
    assert 0.05 <= study.spent_seconds <= time.monotonic() - begun


def test_a_folder_holds_one_sweep(space: Space, tmp_path: Path) -> None:
    SweepStudy(tmp_path, space, "key", 0)
    with pytest.raises(OutputError, match="another configuration"):
        SweepStudy(tmp_path, space, "other", 0)


def test_mistakes_are_told_before_anything_is_read(
    slicewise: Slicewise, tiny: Path, scans: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("trials: 2\nparameters:\n  training.stepss: {low: 1, high: 2}\n")
    done = slicewise("sweep", tiny, wrong, "--set", f"data.root={scans}")
    assert done.returncode == 2
    assert "wrong.yaml:3" in done.stderr
    done = slicewise("sweep", tiny, tmp_path / "unlike.yaml", "--set", f"data.root={scans}")
    assert done.returncode == 2
    assert "configs/sweeps/hippocampus.yaml" in done.stderr


def test_the_example_is_valid() -> None:
    configs = Path(__file__).parents[2] / "configs"
    space = load_space(
        configs / "sweeps" / "hippocampus.yaml", load_config(configs / "hippocampus.yaml")
    )
    assert space.sweep.trials == 30
