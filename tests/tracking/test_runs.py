from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path

import pytest

import slicewise
from slicewise.config import Config, flatten
from slicewise.errors import InterruptedBySignal, ModelError, TrainingError
from slicewise.interruption import SignalReceived, interruptible
from slicewise.tracking import Store, start_run
from slicewise.tracking.runs import TrackedRun, continue_run
from slicewise.tracking.spool import uploader as uploader
from slicewise.tracking.spool.syncing import sync_spools


def test_run_holds_configuration_code_version_and_metrics(store: Store, config: Config) -> None:
    with start_run(store, config, "toy fold 0", fold=0, tags={"note": "trial"}) as run:
        run.log_metrics(1, {"loss": 0.5, "dice/left part (a)": 0.25})
        run.log_metrics(2, {"loss": 0.25})

    kept = store.client.get_run(run.run_id)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "toy fold 0"
    assert set(kept.data.params) >= {"training.epochs", "data.labels.left part _a_"}
    assert len(kept.data.params) == len(flatten(config))
    assert kept.data.tags["slicewise.version"] == slicewise.__version__
    assert kept.data.tags["slicewise.fold"] == "0"
    assert kept.data.tags["note"] == "trial"
    assert kept.data.metrics["dice/left part _a_"] == 0.25
    history = store.client.get_metric_history(run.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.25)]


def test_folders_of_the_machine_are_not_logged(store: Store, config: Config) -> None:
    with start_run(store, config, "private") as run:
        pass

    kept = store.client.get_run(run.run_id)
    assert kept.data.params["data.root"] == "None"
    assert "/somewhere" not in json.dumps(kept.to_dictionary())


def test_values_that_are_not_finite_are_counted_instead(store: Store, config: Config) -> None:
    with start_run(store, config, "diverged") as run:
        run.log_metrics(1, {"loss": math.nan, "dice": math.inf, "steps_per_second": 3.0})
        run.log_metrics(2, {"loss": -math.inf})

    kept = store.client.get_run(run.run_id)
    assert kept.data.metrics == {"steps_per_second": 3.0}
    assert kept.data.tags["slicewise.skipped_values"] == "3"


def test_case_list_and_its_hash_are_an_input(store: Store, config: Config) -> None:
    cases = {"case_2": "bb", "case_1": "aa"}
    with start_run(store, config, "inputs") as run:
        digest = run.log_cases("training", cases, "toy fold 0")
        again = run.log_cases("validation", dict(sorted(cases.items())), "toy fold 0")
        other = run.log_cases("validation", {**cases, "case_1": "changed"}, "toy fold 1")

    assert digest == again != other
    inputs = store.client.get_run(run.run_id).inputs.dataset_inputs
    contexts = {item.dataset.name: item.tags[0].value for item in inputs}
    assert contexts["toy fold 0 training"] == "training"
    named = json.loads(inputs[0].dataset.profile)
    assert named == {"cases": 2, "names": ["case_1", "case_2"]}
    stored = store.client.download_artifacts(run.run_id, "cases/training.json")
    assert json.loads(Path(stored).read_text()) == {"sha256": digest, "cases": cases}


@pytest.mark.parametrize(
    ("error", "status", "ended_by"),
    [
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SignalReceived(15), "KILLED", "SIGTERM"),
        (
            TrainingError("step 3", expected="a loss", found="NaN", remedy="lower it"),
            "FAILED",
            "TrainingError",
        ),
        (MemoryError(), "FAILED", "MemoryError"),
    ],
)
def test_end_of_the_run_is_written(
    store: Store, config: Config, error: BaseException, status: str, ended_by: str
) -> None:
    run = start_run(store, config, "ended early")
    with pytest.raises(type(error)), run:
        raise error

    kept = store.client.get_run(run.run_id)
    assert kept.info.status == status
    assert kept.data.tags["slicewise.ended_by"] == ended_by


@pytest.mark.fault(107, "E")
def test_a_signal_marks_runs_that_are_not_left_in_time(store: Store, config: Config) -> None:
    def never_entered() -> None:
        with interruptible():
            opened.append(start_run(store, config, "ended early"))
            signal.raise_signal(signal.SIGTERM)

    opened: list[TrackedRun] = []
    with pytest.raises(InterruptedBySignal):
        never_entered()
    list(sync_spools(store))
    assert store.client.get_run(opened[0].run_id).info.status == "KILLED"


def test_folds_lie_below_their_parent(store: Store, config: Config, checkpoint: Path) -> None:
    with (
        start_run(store, config, "all folds") as parent,
        start_run(store, config, "fold 1", fold=1, parent=parent.run_id) as child,
    ):
        child.log_figure(checkpoint)

    kept = store.client.get_run(child.run_id)
    assert kept.data.tags["mlflow.parentRunId"] == parent.run_id
    assert [item.path for item in store.client.list_artifacts(child.run_id, "figures")] == [
        "figures/best.pt"
    ]


def test_system_metrics_are_logged(
    store: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader, "_SAMPLE_SECONDS", 0.1)
    monkeypatch.setattr(uploader, "_PAUSE_SECONDS", 0.05)
    with start_run(store, config, "system") as run:
        time.sleep(1)

    metrics = store.client.get_run(run.run_id).data.metrics
    assert metrics["system/system_memory_usage_megabytes"] > 0
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100
    history = store.client.get_metric_history(run.run_id, "system/system_memory_usage_megabytes")
    assert [point.step for point in history] == list(range(1, len(history) + 1))


def test_resumed_training_goes_on_in_its_run(store: Store, config: Config) -> None:
    first = start_run(store, config, "resumed")
    first.log_metrics(1, {"loss": 0.5, "dice": math.nan})
    with pytest.raises(KeyboardInterrupt), first:
        raise KeyboardInterrupt

    with continue_run(store, first.run_id) as second:
        assert store.client.get_run(first.run_id).info.status == "RUNNING"
        second.log_metrics(2, {"loss": 0.25, "dice": math.nan})

    kept = store.client.get_run(first.run_id)
    assert kept.info.status == "FINISHED"
    assert "slicewise.ended_by" not in kept.data.tags
    assert kept.data.tags["slicewise.skipped_values"] == "2"
    history = store.client.get_metric_history(first.run_id, "loss")
    assert [point.step for point in history] == [1, 2]


def test_continuing_an_unknown_run_is_an_error(store: Store) -> None:
    with pytest.raises(ModelError):
        continue_run(store, "0" * 32)
