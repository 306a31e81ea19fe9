"""Whatever keeps a store from being used: a training goes on, another command says it in words."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.servers import free_port

from slicewise.config import Config
from slicewise.errors import OutputError
from slicewise.tracking import local_database, open_store, store_client
from slicewise.tracking.runs import start_run
from slicewise.tracking.spool import uploader
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.syncing import sync_spools
from slicewise.tracking.store import prepare_mlflow
from slicewise.tracking.store_problems import StoreError, store_error

Harm = Callable[[Path], None]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_database, "_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(uploader, "_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(uploader, "_LONGEST_PAUSE_SECONDS", 0.05)


@pytest.fixture
def work(tmp_path: Path, first_database: Path) -> Path:
    """A work folder with an empty store."""
    place = tmp_path / "work" / "mlflow"
    place.mkdir(parents=True)
    shutil.copyfile(first_database, place / "mlflow.db")
    return tmp_path / "work"


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x" * 4096)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40_000])


def write_text(path: Path) -> None:
    path.write_text("name,dice\ncase1,0.9\n" * 50)


def write_other_tables(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE studies (name TEXT)")
        database.commit()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def set_version(version: str) -> Harm:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (version,))
            database.commit()

    return harm


def require_readable(error: OutputError) -> None:
    """Four parts in words: no traceback, no class, no link, no statement of SQL."""
    text = str(error)
    assert all(part for part in (error.where, error.expected, error.found, error.remedy))
    assert "\n" not in error.found
    for word in ("Error", "Exception", "sqlalche.me", "sqlite3.", "SELECT", "Traceback"):
        assert word not in text


DAMAGE = [
    (overwrite_header, "a damaged file"),
    (truncate, "a damaged file"),
    (write_text, "a damaged file"),
    (write_other_tables, "an SQLite database that MLflow did not write"),
    (make_folder, "a folder in its place"),
    (set_version("451aebb31d03"), "tables of an older MLflow"),
    (set_version("ffffffffffff"), "tables of another MLflow"),
]


@pytest.mark.fault(112, "E")
@pytest.mark.parametrize(("harm", "found"), DAMAGE)
def test_a_damaged_database_is_an_error_in_words(work: Path, harm: Harm, found: str) -> None:
    path = work / "mlflow" / "mlflow.db"
    harm(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(StoreError) as caught:
        open_store(work)

    require_readable(caught.value)
    assert caught.value.where == str(path)
    assert caught.value.found.startswith(found)
    assert (path.read_bytes() if path.is_file() else b"") == before


@pytest.mark.fault(112, "W")
@pytest.mark.parametrize(("harm", "found"), DAMAGE)
def test_a_training_waits_for_a_damaged_database(
    work: Path, first_database: Path, config: Config, harm: Harm, found: str
) -> None:
    path = work / "mlflow" / "mlflow.db"
    harm(path)

    store = open_store(work, must_answer=False)
    assert store.problem.startswith(found)
    with start_run(store, config, "waiting") as run:
        run.log_metrics(1, {"loss": 1})

    shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copyfile(first_database, path)
    store = open_store(work)
    assert [one.delivered.problem for one in sync_spools(store)] == [""]
    kept = store.client.get_run(known_id(store, run.run_id))
    assert kept.info.status == "FINISHED"
    assert kept.data.metrics == {"loss": 1}


@pytest.fixture
def locked(work: Path) -> Iterator[Path]:
    """A work folder whose database another program has locked."""
    with closing(sqlite3.connect(work / "mlflow" / "mlflow.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield work
        holder.rollback()


@pytest.mark.fault(112, "E")
def test_a_locked_database_is_an_error_in_words(locked: Path) -> None:
    with pytest.raises(StoreError, match="another program has locked it") as caught:
        open_store(locked)
    require_readable(caught.value)
    assert open_store(locked, must_answer=False).problem == "another program has locked it"


def test_an_empty_file_becomes_a_database(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = work / "mlflow" / "mlflow.db"
    filled = path.read_bytes()
    path.write_bytes(b"")
    monkeypatch.setattr(local_database, "_create", lambda place: place.write_bytes(filled))
    assert open_store(work).answers


@pytest.mark.fault(112, "W")
def test_a_database_that_is_removed_in_the_middle_has_all_in_the_end(
    work: Path, first_database: Path, config: Config
) -> None:
    path = work / "mlflow" / "mlflow.db"
    store = open_store(work)
    with start_run(store, config, "lost") as run:
        run.log_metrics(1, {"loss": 1})
        assert run.wait_until_delivered()
        path.rename(path.with_name("lost.db"))
        run.log_metrics(2, {"loss": 2})
    assert not path.exists()

    shutil.copyfile(first_database, path)
    # Another process, as this one has the lost file open; it is the address that is remembered.
    moved = work.rename(work.with_name("moved"))
    store = open_store(moved)
    assert [one.delivered.problem for one in sync_spools(store)] == [""]
    (found,) = store.client.search_runs([store.experiment(config.tracking.experiment)])
    assert found.info.status == "FINISHED"
    history = store.client.get_metric_history(found.info.run_id, "loss")
    assert [point.step for point in history] == [1, 2]


@pytest.mark.parametrize(
    "name", ["a%20b", "a&b;c", "ä ö", "what?", "#1", "100%", "at@home:5", "it's", 'a"b', "[x]{y}"]
)
@pytest.mark.fault(117, "OK")
def test_a_work_folder_may_have_any_name(
    tmp_path: Path, first_database: Path, config: Config, name: str
) -> None:
    work = tmp_path / name / "work"
    (work / "mlflow").mkdir(parents=True)
    shutil.copyfile(first_database, work / "mlflow" / "mlflow.db")
    facts = tmp_path / "facts.json"
    facts.write_text("{}")

    store = open_store(work)
    with start_run(store, config, "anywhere") as run:
        run.log_artifact(facts, "folder")

    assert store.client.get_run(run.run_id).info.status == "FINISHED"
    found = store.client.download_artifacts(run.run_id, "folder/facts.json", str(tmp_path))
    assert Path(found).read_text() == "{}"
    assert (work / "mlflow" / "artifacts").is_dir()
    # Nothing next to it under an encoded name.
    assert {item.name for item in tmp_path.iterdir()} - {"folder"} == {name, "facts.json"}


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every request as a class attribute says."""

    status, body, location = 200, b"{}", ""

    def do_POST(self) -> None:
        self.send_response(self.status)
        if self.location:
            self.send_header("Location", self.location + self.path)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answer]]:
    """A server that ``MLFLOW_TRACKING_URI`` names; its answers can be set."""

    class Own(Answer):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{running.server_port}")
        yield Own
        running.shutdown()


@pytest.mark.fault(112, "E")
@pytest.mark.parametrize(
    ("status", "body", "location", "found"),
    [
        (500, b'{"error_code": "INTERNAL_ERROR"}', "", "the server fails (HTTP 500)"),
        (503, b"", "", "the server fails (HTTP 503)"),
        (401, b"", "", "no account or a wrong password (HTTP 401)"),
        (403, b"Invalid Host header", "", "not permitted (HTTP 403)"),
        (404, b"<html>", "", "another service, not MLflow (HTTP 404)"),
        (200, b"<!doctype html><html>", "", "another service, not MLflow (HTTP 200)"),
        (200, b'{"jupyter": 1}', "", "another service, not MLflow (HTTP 200)"),
        (302, b"", "https://elsewhere.example.org", "it redirects to https://elsewhere"),
    ],
)
def test_a_server_that_answers_otherwise(
    server: type[Answer], tmp_path: Path, status: int, body: bytes, location: str, found: str
) -> None:
    server.status, server.body, server.location = status, body, location

    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)

    require_readable(caught.value)
    assert caught.value.found.startswith(found)
    assert open_store(tmp_path, must_answer=False).problem == caught.value.found


@pytest.mark.fault(112, "E")
@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("http://127.0.0.1:{port}", "nothing answers there"),
        ("http://no-such-host.invalid:5000", "no computer of that name"),
        ("https://127.0.0.1:{http}", "no secure connection"),
        ("http://127.0.0.1:99999", "not the address of a server"),
        ("http://", "no computer of that name"),
        ("nonsense://nowhere", "no address of a server or a database"),
        ("postgresql://user:secret@127.0.0.1:{port}/runs", "nothing answers there"),
    ],
)
@pytest.mark.usefixtures("server")
def test_an_address_at_which_no_store_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, found: str
) -> None:
    listening = os.environ["MLFLOW_TRACKING_URI"].rpartition(":")[2]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(port=free_port(), http=listening))

    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)

    require_readable(caught.value)
    assert caught.value.found.startswith(found)
    assert "secret" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setattr("slicewise.tracking.store._START_SECONDS", 0.2)
        assert open_store(tmp_path, must_answer=False).problem == "no answer in time"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(sqlite3.OperationalError) database or disk is full", "no space left on its disk"),
        ("attempt to write a readonly database", "it cannot be opened and written by this user"),
        ("disk I/O error", "its disk cannot be read or written"),
        ("SSL: CERTIFICATE_VERIFY_FAILED", "no secure connection"),
        ('FATAL: database "runs" does not exist', "there is no database of that name"),
        ("FATAL: password authentication failed for user", "the database does not accept"),
    ],
)
def test_what_a_store_says_in_words(text: str, found: str) -> None:
    error = store_error("/work/mlflow/mlflow.db", RuntimeError(text))
    assert error.found.startswith(found)
    require_readable(error)


@pytest.mark.parametrize("name", ["MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
@pytest.mark.usefixtures("server")
def test_a_setting_of_mlflow_that_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "soon")
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    require_readable(caught.value)
    assert caught.value.found == f"'soon' in the environment variable {name}"
    monkeypatch.setenv(name, " ")
    prepare_mlflow()
    assert os.environ[name].isdecimal()


def test_mlflow_prints_nothing_of_its_own(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # As if the database was locked after a look at it.
    for name in ("require_usable", "require_writable"):
        monkeypatch.setattr(store_client, name, lambda *_, **__: None)
    with pytest.raises(StoreError):
        open_store(locked)
    assert capfd.readouterr().err == ""
