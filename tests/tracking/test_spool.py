"""A store that is down, slow, locked or refusing stops no run, and in the end it has everything."""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tracking.conftest import Client, steps, synced

from slicewise.config import Config
from slicewise.tracking import Store, open_store, resolve_model
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.runs import WAITING, continue_run, start_run
from slicewise.tracking.spool.delivery import deliver
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, spools
from slicewise.tracking.spool.syncing import mark_killed, remove_if_done, sync_spools

pytestmark = pytest.mark.usefixtures("quick_uploads")


def test_a_store_that_takes_everything_leaves_no_spool(store: Store, config: Config) -> None:
    before = len(spools(store))
    with start_run(store, config, "plain") as run:
        run.log_metrics(1, {"loss": 1})
    assert steps(store, run) == [1]
    assert len(spools(store)) == before
    assert store.client.get_run(run.run_id).info.status == "FINISHED"


def test_what_waits_is_private(flaky: Store, client: Client, config: Config) -> None:
    client.is_down = True
    with start_run(flaky, config, "private") as run:
        pass
    folder = flaky.folder / "spool" / run.run_id
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    client.is_down = False
    assert synced(flaky)[run.run_id] == ""


def test_a_run_that_was_deleted_while_its_journal_waits(
    flaky: Store, client: Client, config: Config
) -> None:
    with start_run(flaky, config, "deleted") as run:
        run.log_metrics(1, {"loss": 1})
        assert run.wait_until_delivered()
        client.is_down = True
        run.log_metrics(2, {"loss": 0.5})
    client.is_down = False
    flaky.client.delete_run(run.run_id)
    ((spool_id, told),) = synced(flaky).items()
    assert "was deleted in MLflow" in told
    assert str(flaky.folder / "spool" / spool_id) in told
    flaky.client.restore_run(run.run_id)
    assert synced(flaky) == {spool_id: ""}
    assert steps(flaky, run) == [1, 2]


def test_a_store_that_is_down_from_the_start_has_all_in_the_end(
    flaky: Store,
    client: Client,
    config: Config,
    files: ModelFiles,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client.is_down = True
    begun = time.monotonic()
    with (
        caplog.at_level(logging.WARNING),
        start_run(flaky, config, "down") as parent,
        start_run(flaky, config, "down 0", fold=0, parent=parent.run_id) as run,
    ):
        for step in range(5):
            run.log_metrics(step, {"loss": 1 / (step + 1)})
        run.log_cases("training", {"a": "1"}, "toy")
        run.log_artifact(files.members[0], "checkpoint")
        assert run.register(files, "patient", card="# Card") == WAITING
    assert time.monotonic() - begun < 15
    assert "slicewise sync" in caplog.text

    client.is_down = False
    told = synced(flaky)
    assert [told[item.run_id] for item in (parent, run)] == ["", ""]
    run_id = known_id(flaky, run.run_id)
    assert run_id != run.run_id
    kept = flaky.client.get_run(run_id)
    assert kept.info.status == "FINISHED"
    assert kept.data.tags["mlflow.parentRunId"] == known_id(flaky, parent.run_id)
    assert steps(flaky, run_id) == [0, 1, 2, 3, 4]
    assert len(kept.inputs.dataset_inputs) == 1
    assert kept.data.params["training.epochs"] == "1"
    # The id that was told while the store was down still leads to the model.
    for name in (run.run_id, run_id, "models:/patient/1"):
        assert resolve_model(flaky, name) is not None
    assert synced(flaky) == {}


def test_a_store_that_goes_down_in_the_middle_misses_no_step(
    flaky: Store, client: Client, config: Config
) -> None:
    with start_run(flaky, config, "middle") as run:
        for step in range(30):
            client.is_down = 10 <= step < 20
            run.log_metrics(step, {"loss": step})
            time.sleep(0.01)
    assert steps(flaky, run) == list(range(30))


@pytest.mark.parametrize("calls", [1, 2, 3, 5, 8])
def test_delivered_twice_is_there_once(
    flaky: Store, client: Client, config: Config, files: ModelFiles, calls: int
) -> None:
    """The process dies after some calls, before it can note what is delivered."""
    client.is_down = True
    name = f"twice-{calls}"
    with start_run(flaky, config, name) as run:
        run.log_metrics(1, {"loss": 1})
        run.log_metrics(2, {"loss": 2})
        run.register(files, name, card="# Card")
    client.is_down = False
    client.calls_left = calls
    spool = Spool(flaky.folder / "spool" / run.run_id)
    deliver(spool, flaky)
    client.calls_left = float("inf")
    (spool.folder / "delivered.json").unlink(missing_ok=True)
    assert deliver(spool, flaky).problem == ""
    (spool.folder / "delivered.json").unlink()
    assert deliver(spool, flaky).problem == ""
    experiment = flaky.experiment(config.tracking.experiment)
    found = flaky.client.search_runs([experiment], f"attributes.run_name = '{name}'")
    assert len(found) == 1
    assert steps(flaky, found[0].info.run_id) == [1, 2]
    assert len(flaky.client.search_model_versions(f"name='{name}'")) == 1
    remove_if_done(spool)
    assert not spool.folder.exists()


def test_a_slow_store_does_not_slow_the_run(flaky: Store, client: Client, config: Config) -> None:
    with start_run(flaky, config, "slow") as run:
        client.pause_seconds = 0.3
        begun = time.perf_counter()
        for step in range(100):
            run.log_metrics(step, {"loss": step})
        seconds = time.perf_counter() - begun
        client.pause_seconds = 0
    # A hundred calls would have taken half a minute.
    assert seconds < 3
    assert run.logging_seconds <= seconds + 1
    assert steps(flaky, run) == list(range(100))


def test_a_locked_database_stops_nothing(tmp_path: Path, config: Config) -> None:
    store = open_store(tmp_path)
    holder = sqlite3.connect(store.folder / "mlflow.db", timeout=1, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        run = start_run(replace(store, problem="locked"), config, "locked")
        begun = time.perf_counter()
        run.log_metrics(1, {"loss": 1})
        assert time.perf_counter() - begun < 1
    finally:
        holder.rollback()
        holder.close()
    with run:
        run.log_metrics(2, {"loss": 2})
    assert steps(store, run) == [1, 2]


def test_two_deliveries_never_share_a_spool(flaky: Store, client: Client, config: Config) -> None:
    client.is_down = True
    with start_run(flaky, config, "shared") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False
    spool, again = (Spool(flaky.folder / "spool" / run.run_id) for _ in range(2))
    with spool.lock:
        assert deliver(again, flaky).problem == "another process delivers it"
        remove_if_done(again)
    assert deliver(again, flaky).problem == ""


def test_a_spool_that_is_still_added_to_is_not_removed(flaky: Store, config: Config) -> None:
    run = start_run(flaky, config, "open")
    spool = Spool(flaky.folder / "spool" / run._spool.spool_id)
    assert deliver(spool, flaky).problem == ""
    remove_if_done(spool)
    assert spool.folder.exists()
    assert run._spool.spool_id not in synced(flaky)
    with run:
        run.log_metrics(3, {"loss": 3})
    assert steps(flaky, run) == [3]
    assert not spool.folder.exists()


def test_entries_for_another_store_wait_for_it(
    flaky: Store, client: Client, config: Config
) -> None:
    client.is_down = True
    with start_run(flaky, config, "elsewhere") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False
    other = replace(flaky, uri="http://user:secret@127.0.0.1:5999")
    told = {one.spool_id: one.elsewhere for one in sync_spools(other)}
    assert told[run.run_id] == "the store of the work folder"
    assert synced(flaky)[run.run_id] == ""
    assert other.shown_uri == "http://127.0.0.1:5999"


def test_a_line_that_was_cut_off_is_no_entry(flaky: Store, client: Client, config: Config) -> None:
    client.is_down = True
    with start_run(flaky, config, "cut") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False
    entries = flaky.folder / "spool" / run.run_id / "entries.jsonl"
    with entries.open("a") as file:
        file.write('{"kind": "metr')
    assert synced(flaky)[run.run_id] == ""
    assert steps(flaky, run) == [1]


@pytest.mark.fault(119, "W")
def test_what_was_damaged_in_the_journal_is_left_out_and_told(
    flaky: Store, client: Client, config: Config, tmp_path: Path
) -> None:
    client.is_down = True
    (tmp_path / "facts.json").write_text("facts")
    with start_run(flaky, config, "damaged") as run:
        run.log_artifact(tmp_path / "facts.json")
        run.log_metrics(1, {"loss": 1})
        run.log_metrics(2, {"loss": 2})
    client.is_down = False
    spool = flaky.folder / "spool" / run.run_id
    entries = (spool / "entries.jsonl").read_bytes()
    assert entries.count(b'{"loss": 1.0}') == 1
    (spool / "entries.jsonl").write_bytes(entries.replace(b'{"loss": 1.0}', b'{"loss": 1.5}'))
    (kept,) = spool.glob("files/*/facts.json")
    kept.write_text("other")
    assert synced(flaky)[run.run_id] == ""
    assert steps(flaky, run) == [2]
    stored = flaky.client.get_run(known_id(flaky, run.run_id))
    assert stored.data.tags["slicewise.damaged_entries"] == "an entry, facts.json"


@pytest.mark.fault(119, "OK")
def test_a_changed_count_of_what_is_delivered_delivers_all_of_it_again(
    flaky: Store, client: Client, config: Config
) -> None:
    client.is_down = True
    with start_run(flaky, config, "counted") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False
    text = json.dumps({"bytes": 10**9, "sampled": 0, "crc32": 1})
    (flaky.folder / "spool" / run.run_id / "delivered.json").write_text(text)
    assert synced(flaky)[run.run_id] == ""
    assert steps(flaky, run) == [1]


@pytest.mark.fault(112, "OK")
def test_a_folder_that_cannot_be_written_is_a_problem_of_the_delivery(
    flaky: Store, client: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.is_down = True
    with start_run(flaky, config, "read-only") as run:
        run.log_metrics(1, {"loss": 1})
    client.is_down = False

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr("filelock.BaseFileLock.acquire", refuse)
        assert "Read-only file system" in synced(flaky)[run.run_id]
    assert synced(flaky)[run.run_id] == ""


def test_files_are_delivered_as_they_were(
    flaky: Store, client: Client, config: Config, tmp_path: Path
) -> None:
    from slicewise.imaging.files import write_text

    client.is_down = True
    path = tmp_path / "facts.json"
    write_text(path, "first")
    with start_run(flaky, config, "files") as run:
        run.log_artifact(path)
        write_text(path, "second")
    client.is_down = False
    synced(flaky)
    stored = flaky.client.download_artifacts(known_id(flaky, run.run_id), "facts.json")
    assert Path(stored).read_text() == "first"


def test_a_resumed_run_goes_on_in_the_same_though_nobody_answers(
    flaky: Store, client: Client, config: Config
) -> None:
    client.is_down = True
    run = start_run(flaky, config, "resumed")
    run.log_metrics(1, {"loss": 1})
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    silent = replace(flaky, problem="down")
    with continue_run(silent, run.run_id) as again:
        again.log_metrics(2, {"loss": 2})
    client.is_down = False
    assert set(synced(flaky).values()) == {""}
    kept = flaky.client.get_run(known_id(flaky, run.run_id))
    assert kept.info.status == "FINISHED"
    assert "slicewise.ended_by" not in kept.data.tags
    assert steps(flaky, run.run_id) == [1, 2]
    assert known_id(flaky, again.run_id) == kept.info.run_id


@pytest.fixture
def running(store: Store, config: Config) -> Callable[..., str]:
    """A run that nobody ended, with tags as given."""

    def make(**tags: str) -> str:
        with start_run(store, config, "left behind") as run:
            pass
        store.client.update_run(run.run_id, status="RUNNING")
        for key, value in tags.items():
            store.client.set_tag(run.run_id, f"slicewise.{key}", value)
        return run.run_id

    return make


@pytest.mark.fault(77, "W")
def test_a_run_is_killed_only_when_host_process_and_heartbeat_say_so(
    store: Store, running: Callable[..., str]
) -> None:
    # No process has so large an id; the start of this one is another's.
    gone = {"process": "99999999", "heartbeat": "1000"}
    killed = running(**gone)
    reused = running(process_started="5", heartbeat="1000")
    spared = [
        running(heartbeat="1000"),
        running(**gone | {"host": "elsewhere"}),
        running(**gone | {"heartbeat": f"{time.time():.0f}"}),
        running(**gone | {"process_started": "unknown"}),
    ]
    assert mark_killed(store) == ["left behind", "left behind"]
    for run_id in (killed, reused):
        run = store.client.get_run(run_id)
        assert run.info.status == "KILLED"
        assert run.info.end_time == 1_000_000
        assert run.data.tags["slicewise.ended_by"] == "killed"
    for run_id in spared:
        assert store.client.get_run(run_id).info.status == "RUNNING"
        store.client.set_terminated(run_id)


def test_entries_of_several_threads_are_whole_lines(store: Store) -> None:
    spool = Spool.begin(store)
    threads = [
        threading.Thread(target=lambda: [spool.append("tags", values={"a": "x" * 500})] * 1)
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(1 for _ in spool.waiting()) == 50
    lines = (spool.folder / "entries.jsonl").read_text().splitlines()
    assert all(json.loads(line)["kind"] == "tags" for line in lines)
    spool.remove_if(lambda: True)
    assert not spool.folder.exists()
