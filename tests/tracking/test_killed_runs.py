"""A killed process, a full disk, a damaged journal: in the end each thing is in the store once."""

from __future__ import annotations

import atexit
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.tracking.conftest import Client, steps, synced
from tests.tracking.fake_mlflow import FakeMlflow, Killed

from slicewise.config import Config
from slicewise.errors import OutputError
from slicewise.tracking import Store
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.runs import TrackedRun, continue_run, start_run
from slicewise.tracking.spool.delivery import deliver
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, spools
from slicewise.tracking.spool.syncing import mark_killed

pytestmark = pytest.mark.usefixtures("quick_uploads")


def sampled(store: Store, run_id: str) -> list[int]:
    points = store.client.get_metric_history(run_id, "system/load")
    return [point.step for point in points]


def kill(run: TrackedRun) -> None:
    """As SIGKILL leaves a run: half a line in its spool, and nobody who adds to it."""
    with (run._spool.folder / "entries.jsonl").open("a") as file:
        file.write('{"kind": "metrics", "step": 4')
    atexit.unregister(run._end_at_exit)


@pytest.mark.fault(113, "OK")
@pytest.mark.parametrize("down", [(), ("first",), ("second",), ("first", "second")])
def test_steps_after_the_last_checkpoint_are_there_once(
    flaky: Store, client: Client, config: Config, down: tuple[str, ...]
) -> None:
    """Killed at step 3, resumed from a checkpoint of step 1."""
    client.is_down = "first" in down
    first = start_run(flaky, config, "once")
    for step in (1, 2, 3):
        first.log_metrics(step, {"loss": step})
        first._spool.append("samples", step=step, time=step, values={"system/load": step})
    deliver(first._spool, flaky, first._uploader.delivered)
    kill(first)

    client.is_down = "second" in down
    with continue_run(
        replace(flaky, problem="down" if client.is_down else ""), first.run_id
    ) as run:
        for step in (2, 3, 4):
            run.log_metrics(step, {"loss": 10 * step})
        run._spool.append("samples", step=1, time=9, values={"system/load": 1.0})
    client.is_down = False
    assert set(synced(flaky).values()) <= {""}

    run_id = known_id(flaky, first.run_id)
    points = flaky.client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(1, 1), (2, 2), (3, 3), (4, 40)]
    assert sampled(flaky, run_id) == [1, 2, 3, 4]
    assert flaky.client.get_run(run_id).info.status == "FINISHED"
    experiment = flaky.experiment(config.tracking.experiment)
    named = flaky.client.search_runs([experiment], f"attributes.run_id = '{run_id}'")
    assert len(named) == 1
    assert not [spool for spool in spools(flaky) if first.run_id in spool.run_ids]


def test_a_run_whose_spool_waits_is_resumed_though_the_store_does_not_know_it(
    flaky: Store, client: Client, config: Config
) -> None:
    client.is_down = True
    with start_run(flaky, config, "unknown") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False
    with continue_run(flaky, run.run_id) as again:
        again.log_metrics(2, {"loss": 2})
    assert steps(flaky, again) == [1, 2]


@pytest.mark.fault(116, "W")
def test_a_run_whose_process_was_killed_before_delivery_is_marked(
    flaky: Store, client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.is_down = True
    run = start_run(flaky, config, "killed while the store was down")
    run.log_metrics(1, {"loss": 1})
    kill(run)
    client.is_down = False
    monkeypatch.setattr(Spool, "owner_may_run", lambda *_: False)
    # Its heartbeat is new: it may live in a container with process ids of its own.
    assert mark_killed(flaky) == []
    assert mark_killed(flaky, silent_seconds=-1) == ["killed while the store was down"]
    assert mark_killed(flaky, silent_seconds=-1) == []
    assert synced(flaky)[run.run_id] == ""
    kept = flaky.client.get_run(known_id(flaky, run.run_id))
    assert kept.info.status == "KILLED"
    assert kept.data.tags["slicewise.ended_by"] == "killed"


@pytest.mark.fault(116, "E")
def test_a_run_ends_in_the_store_when_its_spool_cannot_be_written(
    flaky: Store, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_run(flaky, config, "disk full")

    def full(self: Spool, _: str, **__: object) -> None:
        raise OutputError(self.folder, expected="space", found="No space left", remedy="free some")

    monkeypatch.setattr(Spool, "append", full)
    with pytest.raises(OutputError, match="No space left"), run:
        run.log_metrics(1, {"loss": 1})
    kept = flaky.client.get_run(run.run_id)
    assert kept.info.status == "FAILED"
    assert kept.data.tags["slicewise.ended_by"] == "OutputError"


@pytest.mark.fault(116, "E")
def test_a_run_that_is_never_entered_ends_with_the_process(flaky: Store, config: Config) -> None:
    run = start_run(flaky, config, "left at its start")
    run._end_at_exit()
    kept = flaky.client.get_run(run.run_id)
    assert kept.info.status == "FAILED"
    run._end_at_exit()
    assert not run._spool.folder.exists()


@pytest.mark.fault(73, "E")
def test_a_journal_has_whole_lines_though_the_disk_is_full(store: Store) -> None:
    spool = Spool.begin(store)
    spool.append("tags", values={"a": "1"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = (spool.folder / "entries.jsonl").stat().st_size
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
        with pytest.raises(OutputError, match="bytes for the journal of the run") as caught:
            spool.append("tags", values={"b": "2" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert str(spool.folder) in str(caught.value)
    spool.append("tags", values={"c": "3"})
    assert [entry["values"] for entry, _ in spool.waiting()] == [{"a": "1"}, {"c": "3"}]
    spool.remove_if(lambda: True)


def test_damaged_records_of_a_spool_keep_no_other_from_the_store(
    flaky: Store, client: Client, config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    client.is_down = True
    with start_run(flaky, config, "damaged") as run:
        run.log_metrics(1, {"loss": 1})
        run.log_metrics(2, {"loss": 2})
    client.is_down = False
    broken = Spool.begin(flaky)
    (broken.folder / "about.json").write_bytes(b"\x00\xff")
    entries = flaky.folder / "spool" / run.run_id / "entries.jsonl"
    lines = entries.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"step": 1' in line)
    lines[at] = b"\xff" + lines[at][1:]
    entries.write_bytes(b"".join(lines))
    (entries.parent / "delivered.json").write_bytes(b"\x00")
    assert synced(flaky)[run.run_id] == ""
    assert steps(flaky, run) == [2]
    assert "is damaged" in caplog.text
    shutil.rmtree(broken.folder)


class Dying:
    """A client whose process is killed before or after one of its calls."""

    def __init__(self, client: Any, call: str, *, after: bool) -> None:
        self._client, self._call, self._after = client, call, after

    def __getattr__(self, asked: str) -> Any:
        def request(*arguments: Any, **more: Any) -> Any:
            if asked == self._call and not self._after:
                raise Killed
            found = getattr(self._client, asked)(*arguments, **more)
            if asked == self._call:
                raise Killed
            return found

        return request


CALLS = (
    *("create_registered_model", "create_logged_model", "log_model_artifacts", "log_outputs"),
    *("finalize_logged_model", "create_model_version", "set_registered_model_alias"),
)


@pytest.mark.fault(114, "OK")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("after", [False, True])
def test_a_registration_that_was_killed_anywhere_is_completed(
    tmp_path: Path,
    config: Config,
    files: ModelFiles,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    after: bool,
) -> None:
    client = FakeMlflow()
    store = Store("http://store", tmp_path / "mlflow", client)  # type: ignore[arg-type]
    require_one_registration(store, config, files, monkeypatch, call, after=after)


@pytest.mark.fault(114, "OK")
@pytest.mark.parametrize(
    ("call", "after"), [("finalize_logged_model", False), ("create_model_version", True)]
)
def test_a_registration_that_was_killed_is_completed_by_mlflow(
    store: Store,
    config: Config,
    files: ModelFiles,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    after: bool,
) -> None:
    require_one_registration(store, config, files, monkeypatch, call, after=after)


def require_one_registration(
    store: Store,
    config: Config,
    files: ModelFiles,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    *,
    after: bool,
) -> None:
    """Killed at a call, and the resumed training registers the same model again."""
    monkeypatch.setattr("slicewise.tracking.registry.save_servable", write_small)
    name = f"killed-at-{call}"
    dying = replace(store, client=Dying(store.client, call, after=after))  # type: ignore[arg-type]
    first = start_run(store, config, name)
    first.register(files, name, card="# Card")
    with pytest.raises(Killed):
        deliver(first._spool, dying)
    kill(first)
    with continue_run(store, first.run_id) as run:
        assert run.register(files, name, card="# Card") == f"models:/{name}/1 (champion)"

    (version,) = store.client.search_model_versions(f"name='{name}'")
    assert version.run_id == run.run_id
    models = store.client.search_logged_models(
        [run.experiment_id], f"source_run_id = '{run.run_id}'"
    )
    assert [(model.name, str(model.status)) for model in models] == [(name, "READY")]
    outputs = store.client.get_run(run.run_id).outputs.model_outputs
    assert [item.model_id for item in outputs] == [models[0].model_id]
    aliases = store.client.get_registered_model(name).aliases
    assert {alias: int(number) for alias, number in aliases.items()} == {"champion": 1}


def write_small(folder: Path, *_: object) -> None:
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {}\n")


def test_a_name_that_the_registry_refuses_keeps_nothing_else_from_the_store(
    store: Store, config: Config, files: ModelFiles, caplog: pytest.LogCaptureFixture
) -> None:
    with start_run(store, config, "refused") as run:
        assert run.register(files, "a/b:c", card="# Card").startswith("refused: ")
        run.log_metrics(1, {"loss": 1})
    kept = store.client.get_run(run.run_id)
    assert kept.info.status == "FINISHED"
    assert kept.data.metrics["loss"] == 1
    assert "slicewise.registration_refused" in kept.data.tags
    assert "tracking.model_name" in caplog.text
