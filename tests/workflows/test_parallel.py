"""Works side by side: one that fails leaves the others alone, and all end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
from tests.parallel_works import double, double_or_die, environment, save_when_ended
from tests.recorded_progress import RecordedProgress

from slicewise.config import Config, parse_config
from slicewise.errors import InterruptedBySignal, UsageError
from slicewise.interruption import interruptible
from slicewise.progress import SILENT
from slicewise.workflows.parallel import places
from slicewise.workflows.parallel.children import Children, Place
from slicewise.workflows.parallel.engines import engine_of
from slicewise.workflows.parallel.places import places_of
from slicewise.workflows.parallel.relayed_progress import Display, RelayedProgress
from slicewise.workflows.parallel.side_by_side import (
    failed,
    reason_of,
    side_by_side,
)
from slicewise.workflows.train import TrainOptions, train

CONFIG = """
name: core
data: {root: absent, labels: {core: 1}, fold_count: 3}
network: {features: [4, 8], window: [16, 16], context_slices: 0}
training: {steps: 4, validations: 1, batch_size: 4, device: cpu}
"""


@pytest.fixture
def config() -> Config:
    return parse_config(CONFIG, "test")


def test_results_and_reports_arrive() -> None:
    progress = RecordedProgress()
    items = [(f"fold {number}", number) for number in range(4)]
    engine = Children([Place(1), Place(1)])
    found = dict(side_by_side(engine, double, items, progress, "folds", 4))
    assert found == {"fold 0": 0, "fold 1": 2, "fold 2": 4, "fold 3": 6}
    assert sorted(progress.messages) == [f"fold {n}: {n} is doubled" for n in range(4)]
    whole, *each = progress.tasks
    assert (whole.description, whole.completed) == ("folds", [1, 2, 3, 4])
    assert sorted(task.description for task in each) == sorted(found)
    assert all(task.completed == [0, 0, 1] for task in each)


@pytest.mark.fault(110, "Q")
def test_one_that_fails_leaves_the_others_alone() -> None:
    progress = RecordedProgress()
    items = [(f"fold {number}", number) for number in range(5)]
    done = side_by_side(Children([Place(1)]), double_or_die, items, progress, "folds", 5)
    found = dict(done)
    assert (found.pop("fold 0"), found.pop("fold 4")) == (0, 8)
    errors = {name: error for name, error in found.items() if isinstance(error, Exception)}
    assert {name: reason_of(error) for name, error in errors.items()} == {
        "fold 1": "step 7: expected a finite loss, found nan",
        "fold 2": "a process that the system ended (SIGKILL), perhaps because memory ran out",
        "fold 3": "an error that Slicewise did not foresee",
    }
    assert "fold 1 failed: step 7: expected a finite loss, found nan" in progress.messages
    with pytest.raises(ZeroDivisionError):
        failed(Path("folds"), errors, expected="5 folds", remedy="again")


def test_each_has_its_share_of_the_machine() -> None:
    items = [(name, name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")]
    engine = Children([Place(3, "7")])
    assert dict(engine.each(environment, iter(items), lambda *_: None)) == {
        "OMP_NUM_THREADS": "3",
        "CUDA_VISIBLE_DEVICES": "7",
    }


@pytest.mark.fault(107, "E")
def test_a_signal_reaches_all(tmp_path: Path) -> None:
    files = [tmp_path / "0", tmp_path / "1"]
    waiting: list[str] = []

    def hear(name: str, report: object) -> None:
        if report == ("message", "waiting"):
            waiting.append(name)
        if len(waiting) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    engine = Children([Place(1), Place(1)])
    items = iter([(path.name, path) for path in files])
    with pytest.raises(InterruptedBySignal), interruptible():
        list(engine.each(save_when_ended, items, hear))
    assert [path.read_text() for path in files] == ["saved", "saved"]


PARENT = """
import os, sys
from pathlib import Path
from slicewise.workflows.parallel.children import Children, Place
from tests.parallel_works import save_when_ended

def hear(name, report):
    if report == ("message", "waiting"):
        print("waiting", flush=True)

list(Children([Place(1)]).each(save_when_ended, iter([("one", Path(sys.argv[1]))]), hear))
"""


def test_works_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "saved"
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, path], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "waiting\n"
        children = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    gone, alive = psutil.wait_procs(children, 10)
    assert gone
    assert not alive
    assert path.read_text() == "saved"


def test_reports_that_come_late_show_nothing() -> None:
    progress = RecordedProgress()
    with Display(progress) as display:
        relayed = RelayedProgress(lambda report: display.hear("fold 0", report))
        with relayed.task("training", 10) as task:
            task.update(4, total=20, detail="loss 0.5")
        display.end("fold 0")
        with relayed.task("predicting", 3):
            pass
    (shown,) = progress.tasks
    assert (shown.total, shown.completed) == (20, [0, 4])


def test_threads_are_shared(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 5)
    assert places_of([config], 2, "folds") == [Place(2), Place(2)]
    assert places_of([config], 9, "folds") == [Place(1)] * 9


@pytest.mark.fault(111, "E")
def test_more_than_the_memory_carries(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "free_memory_bytes", lambda: 1_500_000_000)
    assert len(places_of([config], 2, "folds")) == 2
    with pytest.raises(UsageError) as caught:
        places_of([config], 3, "folds")
    assert "1.5 GB" in caught.value.expected
    assert caught.value.found == "3 folds of about 0.6 GB each"
    assert caught.value.remedy.startswith("`parallel` 2, ")


def test_a_gpu_each(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(places, "resolve_precision", lambda *_: "float32")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [place.gpu for place in places_of([config], 2, "folds")] == ["4", "6"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [place.gpu for place in places_of([config], 1, "folds")] == ["0"]
    with pytest.raises(UsageError, match="2 GPUs") as caught:
        places_of([config], 3, "folds")
    assert caught.value.remedy == "`parallel` 2, or `settings` training.device=cpu"


@pytest.mark.parametrize("number", [0, -2])
def test_no_number(config: Config, number: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        engine_of([config], number, "folds", 5, None, SILENT)


def test_more_than_there_are(config: Config) -> None:
    progress = RecordedProgress()
    engine_of([config], 9, "folds", 3, None, progress)
    assert progress.messages == ["`parallel` 9: there are 3 folds, all at the same time"]


def test_one_fold_alone_has_nothing_at_its_side(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`fold` all"):
        train(TrainOptions(config, 0, tmp_path, tmp_path / "work", parallel=2))


def test_folds_side_by_side_have_one_process_each(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`devices` 2"):
        train(TrainOptions(config, None, tmp_path, tmp_path / "work", devices=2, parallel=2))
