"""Trainings go on while a real tracking server dies; what it missed is delivered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from tests.servers import MlflowServer

Slicewise = Callable[..., Any]
START = "import sys; from slicewise.cli.main import main; sys.argv[0] = 'slicewise'; main()"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """A server that the tests kill and start again."""
    running = MlflowServer(tmp_path_factory.mktemp("server"))
    running.start()
    yield running
    running.kill()


@pytest.fixture
def long_training(tiny: Path, scans: Path, work: Path, tmp_path: Path) -> Callable[..., Any]:
    """Start a training of many steps in a process of its own."""

    def start(url: str | None, *more: str | Path, steps: int = 400) -> subprocess.Popen[bytes]:
        arguments = ["train", tiny, "--set", f"data.root={scans}", "--out", tmp_path / "model"]
        arguments += ["--set", f"training.steps={steps}", "--work", work, *more]
        environment = os.environ | ({"MLFLOW_TRACKING_URI": url} if url else {})
        return subprocess.Popen(
            [sys.executable, "-c", START, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )

    return start


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.fault(76, "OK")
def test_a_server_that_dies_in_the_middle_misses_no_step(
    slicewise: Slicewise,
    server: MlflowServer,
    long_training: Callable[..., Any],
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = MlflowClient(server.url)
    training = long_training(server.url)
    record = tmp_path / "model" / "run.json"
    wait_for(lambda: record.is_file() or training.poll() is not None)
    assert training.poll() is None, training.communicate()[0].decode()
    run_id = json.loads(record.read_text())["run_id"]
    wait_for(lambda: len(client.get_metric_history(run_id, "train.loss")) > 1)
    server.kill()
    said = training.communicate(timeout=300)[0].decode()
    assert training.returncode == 0, said
    assert "slicewise sync" in said
    assert (tmp_path / "model" / "model.json").is_file()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = slicewise("sync", "--work", work)
    assert down.returncode == 1
    assert "Traceback" not in down.stderr

    server.start()
    done = slicewise("sync", "--work", work)
    assert done.returncode == 0, done.stderr
    assert "models:/tiny/1 (champion)" in done.stdout
    found = client.get_metric_history(run_id, "train.loss")
    assert [point.step for point in found] == list(range(20, 401, 20))
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert 0 <= run.data.metrics["tracking.share"] < 0.2
    assert {item.path for item in client.list_artifacts(run_id)} >= {"scores.csv", "config.yaml"}
    again = slicewise("sync", "--work", work)
    assert "models:/tiny/1" not in again.stdout
    assert len(client.search_model_versions("name='tiny'")) == 1


@pytest.mark.slow
@pytest.mark.fault(77, "W")
@pytest.mark.fault(113, "OK")
def test_a_killed_training_is_marked_and_goes_on_in_its_run(
    slicewise: Slicewise,
    long_training: Callable[..., Any],
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from slicewise.tracking.spool import syncing
    from slicewise.tracking.store import open_store

    training = long_training(None, "--set", "training.validations=8", steps=800)
    checkpoint, record = tmp_path / "model" / "last.pt", tmp_path / "model" / "run.json"
    wait_for(lambda: checkpoint.is_file() or training.poll() is not None)
    assert training.poll() is None, training.communicate()[0].decode()
    training.send_signal(signal.SIGKILL)
    training.communicate()
    run_id = json.loads(record.read_text())["run_id"]
    client = open_store(work).client
    # Until its heartbeat is old, the run may be one that still lives.
    assert slicewise("sync", "--work", work).returncode == 0
    assert client.get_run(run_id).info.status == "RUNNING"
    marking = syncing.mark_killed
    monkeypatch.setattr(
        "slicewise.workflows.sync.mark_killed", lambda store: marking(store, silent_seconds=0)
    )
    done = slicewise("sync", "--work", work)
    assert "was killed; its run is marked as killed" in done.stdout
    assert client.get_run(run_id).info.status == "KILLED"

    again = long_training(None, "--set", "training.validations=8", "--resume", steps=800)
    said = again.communicate(timeout=300)[0].decode()
    assert again.returncode == 0, said
    assert json.loads(record.read_text())["run_id"] == run_id
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert "slicewise.ended_by" not in run.data.tags
    points = [point.step for point in client.get_metric_history(run_id, "train.loss")]
    assert sorted(points) == list(range(20, 801, 20))


def test_a_server_that_never_answers_stops_no_training(
    slicewise: Slicewise,
    scans: Path,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    out, place = tmp_path / "model", tmp_path / "work"
    arguments = ("train", tiny, "--set", f"data.root={scans}", "--out", out, "--work", place)
    done = slicewise(*arguments)
    assert done.returncode == 0, done.stderr
    assert "waits for `slicewise sync`" in done.stdout
    assert (out / "scores.csv").is_file()
    # A mask needs no server.
    scan = scans / "images" / "case1.nii.gz"
    done = slicewise("predict", out, scan, "--out", tmp_path / "mask.nii.gz", "--work", place)
    assert done.returncode == 0, done.stderr

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    done = slicewise("sync", "--work", place)
    assert done.returncode == 0, done.stderr
    assert "waits for http://127.0.0.1:9" in done.stdout
