from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from slicewise.errors import OutputError, UsageError
from slicewise.tracking import Store, local_database, mlflow_ui_command, open_store


def test_store_lies_in_the_work_folder_and_is_private(store: Store) -> None:
    assert store.is_local
    assert store.folder.is_absolute()
    assert store.uri == f"sqlite:///{store.folder}/mlflow.db"
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert (store.folder / "mlflow.db").is_file()


def test_nothing_is_made_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An old file store in the working directory must not become the default either.
    old = tmp_path / "mlruns" / "0" / "meta.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("experiment_id: '0'\n")
    monkeypatch.chdir(tmp_path)

    opened = open_store(Path("work"))
    opened.experiment("trial")

    assert opened.uri == f"sqlite:///{tmp_path}/work/mlflow/mlflow.db"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlruns", "work"]
    assert list(old.parent.iterdir()) == [old]


def test_artifacts_have_an_absolute_place(store: Store) -> None:
    first = store.experiment("places")

    assert store.experiment("places") == first
    location = store.client.get_experiment(first).artifact_location
    assert location == (store.folder / "artifacts").as_uri()


def test_server_of_the_environment_is_honoured(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)

    assert open_store(tmp_path / "elsewhere").uri == store.uri


def test_store_that_does_not_open_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")

    with pytest.raises(OutputError) as caught:
        open_store(tmp_path)

    assert caught.value.where == "nonsense://nowhere"
    assert "MLFLOW_TRACKING_URI" in caught.value.remedy


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("localhost:5000", "set MLFLOW_TRACKING_URI to http://localhost:5000, "),
        ("mlflow.example.org", "set MLFLOW_TRACKING_URI to http://mlflow.example.org, "),
        ("sqlite://", "add the path of a file"),
        ("sqlite:///", "add the path of a file"),
        ("sqlite:///:memory:", "add the path of a file"),
        ("5000", "correct MLFLOW_TRACKING_URI"),
        ("/tmp", "correct MLFLOW_TRACKING_URI"),
    ],
)
def test_the_address_of_no_store_is_corrected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, remedy: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(OutputError) as caught:
        open_store(tmp_path)
    assert caught.value.remedy.startswith(remedy)
    # What a training logs waits for a store that can be used.
    assert not open_store(tmp_path, must_answer=False).answers


@pytest.mark.parametrize("address", ["", " ", "\n"])
def test_an_empty_address_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert open_store(tmp_path).is_local


def test_network_file_system_is_named_in_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local_database, "_file_system", lambda _: "nfs4")

    local_database.warn_of_network_file_system(tmp_path)

    assert "nfs4" in caplog.text


def test_page_serves_the_same_store_on_this_machine_only(store: Store) -> None:
    command = mlflow_ui_command(store, port=5123)

    assert command[command.index("--backend-store-uri") + 1] == store.uri
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5123"


def test_server_has_its_own_page(store: Store) -> None:
    with pytest.raises(UsageError):
        mlflow_ui_command(Store("http://localhost:5000", store.folder, store.client), 5123)


def test_a_database_of_another_mlflow_is_named_and_left_alone(tmp_path: Path) -> None:
    path = Path(open_store(tmp_path / "first").uri.removeprefix("sqlite:///"))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    # Elsewhere: MLflow remembers that it has opened an address.
    moved = tmp_path / "second" / "mlflow" / "mlflow.db"
    moved.parent.mkdir(parents=True)
    path.rename(moved)
    before = moved.read_bytes()
    with pytest.raises(OutputError, match="mlflow db upgrade sqlite:///"):
        open_store(tmp_path / "second")
    assert moved.read_bytes() == before


def test_a_database_is_made_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.tracking.sqlalchemy_store.SqlAlchemyStore", killed)
        with pytest.raises(KeyboardInterrupt):
            open_store(tmp_path)
    assert not (tmp_path / "mlflow" / "mlflow.db").exists()
    left = tmp_path / "mlflow" / "making-by-a-killed-process"
    left.mkdir()
    (left / "mlflow.db").write_bytes(b"half")
    assert open_store(tmp_path).experiment("whole")
    assert sorted(path.name for path in (tmp_path / "mlflow").iterdir()) == [
        *("mlflow.db", "mlflow.db.lock")
    ]
