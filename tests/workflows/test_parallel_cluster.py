"""Works side by side on a cluster: reports arrive, and workers save what nobody waits for."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import LocalCluster
from tests.parallel_works import double_or_die, environment, save_when_ended
from tests.recorded_progress import RecordedProgress

from slicewise.config import Config
from slicewise.dataset.cluster import Cluster
from slicewise.errors import InterruptedBySignal
from slicewise.interruption import interruptible
from slicewise.workflows.parallel.engines import engine_of
from slicewise.workflows.parallel.on_cluster import OnCluster
from slicewise.workflows.parallel.side_by_side import reason_of, side_by_side


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A scheduler with two workers."""
    few = {"distributed.scheduler.allowed-failures": 1}
    with (
        dask.config.set(few),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=0,
        ) as local,
    ):
        yield local.scheduler_address


def test_results_and_reports_arrive(address: str) -> None:
    progress = RecordedProgress()
    items = [(f"fold {number}", number) for number in range(3)]
    engine = OnCluster(Cluster(address), 2)
    found = dict(side_by_side(engine, double_or_die, items, progress, "folds", 3))
    assert found["fold 0"] == 0
    errors = {name: error for name, error in found.items() if isinstance(error, Exception)}
    assert {name: reason_of(error) for name, error in errors.items()} == {
        "fold 1": "step 7: expected a finite loss, found nan",
        "fold 2": "a process that the system ended (SIGKILL), perhaps because memory ran out",
    }
    assert "fold 0: 0 is doubled" in progress.messages


def test_runs_are_tracked_where_the_caller_does(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    engine = OnCluster(Cluster(address), 1)
    names = iter([("one", "MLFLOW_TRACKING_URI"), ("two", "OMP_NUM_THREADS")])
    found = dict(engine.each(environment, names, lambda *_: None))
    assert found == {"one": "http://tracking:5000", "two": "1"}


@pytest.mark.fault(107, "E")
def test_a_signal_reaches_all_workers(address: str, tmp_path: Path) -> None:
    files = [tmp_path / "0", tmp_path / "1"]
    waiting: list[str] = []

    def hear(name: str, report: object) -> None:
        if report == ("message", "waiting"):
            waiting.append(name)
        if len(waiting) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    engine = OnCluster(Cluster(address), 2)
    items = iter([(path.name, path) for path in files])
    with pytest.raises(InterruptedBySignal), interruptible():
        list(engine.each(save_when_ended, items, hear))
    assert [path.read_text() for path in files] == ["saved", "saved"]


def test_an_address_chooses_the_cluster() -> None:
    config = Config.defaults("core")
    progress = RecordedProgress()
    where = "tcp://127.0.0.1:8786"
    assert engine_of([config], 9, "folds", 3, where, progress) == OnCluster(Cluster(where), 3)
    assert engine_of([config], None, "folds", 3, where, progress) is None
