"""The whole life of a model against a real server of a group: PostgreSQL, S3, accounts."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.postgres import Postgres
from tests.servers import free_port, wait_until_healthy

Slicewise = Callable[..., Any]
START = "import sys; from slicewise.cli.main import main; sys.argv[0] = 'slicewise'; main()"

pytestmark = pytest.mark.slow


@contextmanager
def group_server(
    folder: Path, database: str, artifacts: str, more: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start the command with a file of settings; yields its address."""
    port = free_port()
    settings = {
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_ARTIFACTS_DESTINATION": artifacts,
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        **(more or {}),
    }
    file, log = folder / "server.env", folder / "server.log"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    file.chmod(0o600)
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", START, "mlflow-server", str(file)],
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Without accounts; files in a folder."""
    folder = tmp_path_factory.mktemp("group")
    database = postgres.create_database("group")
    with group_server(folder, database, str(folder / "artifacts")) as url:
        yield url


def train(slicewise: Slicewise, *arguments: Any, work: Path) -> None:
    """Train; a busy server may leave some of it to ``slicewise sync``, which is run at once."""
    for command in (("train", *arguments), ("sync",)):
        done = slicewise(*command, "--work", work)
        assert done.returncode == 0, done.stderr


def version_of(url: str, alias: str) -> str:
    """Number of the version of the model that an alias points at."""
    from mlflow import MlflowClient

    return str(MlflowClient(url).get_model_version_by_alias("tiny", alias).version)


@pytest.mark.fault(94, "E")
def test_a_foreign_name_and_a_foreign_page_are_refused(server: str) -> None:
    search = f"{server}/api/2.0/mlflow/experiments/search"
    body = {"max_results": 1}
    assert requests.post(search, json=body, timeout=20).status_code == 200
    for headers in ({"Host": "evil.example:80"}, {"Origin": "https://evil.example"}):
        assert requests.post(search, json=body, headers=headers, timeout=20).status_code == 403
        assert requests.get(server, headers=headers, timeout=20).status_code == 403
    assert requests.get(server, headers={"Host": "a b"}, timeout=20).status_code == 400


def test_from_training_to_a_served_mask(
    slicewise: Slicewise,
    server: str,
    tiny: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    work = tmp_path / "work"
    for number, steps in enumerate((4, 6)):
        settings = ("--set", f"data.root={scans}", "--set", f"training.steps={steps}")
        train(slicewise, tiny, *settings, "--out", tmp_path / str(number), work=work)
    assert version_of(server, "challenger") == "2"
    assert not (work / "mlflow" / "mlflow.db").exists()

    promoted = slicewise("promote", "models:/tiny/2", "--force", "try it", "--work", work)
    assert promoted.returncode == 0, promoted.stderr
    listed = slicewise("models", "--work", work)
    assert "champion" in listed.stdout
    back = slicewise("rollback", "tiny", "--reason", "as it was", "--work", work)
    assert back.returncode == 0, back.stderr

    scan, direct, served = (
        scans / "images" / "case1.nii.gz",
        tmp_path / "direct.nii.gz",
        tmp_path / "served.nii.gz",
    )
    done = slicewise("predict", "models:/tiny@champion", scan, "--out", direct, "--work", work)
    assert done.returncode == 0, done.stderr
    port = free_port()
    command = ["serve", "models:/tiny@champion", "--port", str(port), "--work", str(work)]
    log = tmp_path / "serve.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *command], stdout=stream, stderr=stream
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        url = f"http://127.0.0.1:{port}"
        done = slicewise("predict", "--endpoint", url, scan, "--out", served, "--work", work)
        assert done.returncode == 0, done.stderr
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert served.read_bytes() == direct.read_bytes()


def test_runs_travel_to_the_server(
    slicewise: Slicewise,
    server: str,
    model: Path,
    scans: Path,
    work: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow import MlflowClient

    package = tmp_path / "runs.tar.gz"
    done = slicewise("runs", "export", "--model", "tiny", "--out", package, "--work", work)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    done = slicewise("runs", "import", package, "--work", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    versions = MlflowClient(server).search_model_versions("name='tiny'")
    run_id = json.loads((model / "run.json").read_text())["run_id"]
    mark = "slicewise.imported_from.version"
    (ours,) = [item for item in versions if item.tags.get(mark, "").startswith(run_id)]
    assert MlflowClient(server).get_run(str(ours.run_id)).data.metrics["dice.core"] >= 0
    masks = []
    for name in (model, f"models:/tiny/{ours.version}"):
        out = tmp_path / f"{len(masks)}.nii.gz"
        scan = scans / "images" / "case1.nii.gz"
        done = slicewise("predict", name, scan, "--out", out, "--work", tmp_path / "other")
        assert done.returncode == 0, done.stderr
        masks.append(out.read_bytes())
    assert masks[0] == masks[1]


def test_files_lie_in_an_s3_store(
    slicewise: Slicewise,
    postgres: Postgres,
    tiny: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(port=free_port())
    store.start()
    try:
        host, port = store.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        s3.create_bucket(Bucket="runs")
        more = {name.upper(): value for name, value in keys.items()}
        more |= {"MLFLOW_S3_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        database = postgres.create_database("s3")
        with group_server(tmp_path, database, "s3://runs/below", more) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            out, work = tmp_path / "model", tmp_path / "work"
            train(slicewise, tiny, "--set", f"data.root={scans}", "--out", out, work=work)
            keys_in = [item["Key"] for item in s3.list_objects_v2(Bucket="runs")["Contents"]]
            assert any(key.endswith("scores.csv") for key in keys_in)
            assert all(key.startswith("below/") for key in keys_in)
            mask = tmp_path / "mask.nii.gz"
            scan = scans / "images" / "case0.nii.gz"
            done = slicewise(
                "predict", "models:/tiny@champion", scan, "--out", mask, "--work", work
            )
            assert done.returncode == 0, done.stderr
    finally:
        store.stop()


def test_accounts_are_asked_for_and_permissions_hold(
    slicewise: Slicewise,
    postgres: Postgres,
    tiny: Path,
    scans: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accounts = tmp_path / "accounts.ini"
    users = postgres.create_database("accounts").replace("postgresql:", "postgresql+psycopg2:")
    accounts.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {users}\nadmin_username = admin\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        "auth_cache_ttl_seconds = 60\n"
    )
    accounts.chmod(0o600)
    password = secrets.token_hex(16)
    more = {
        "MLFLOW_AUTH_CONFIG_PATH": str(accounts),
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16),
    }
    database = postgres.create_database("guarded")
    with group_server(tmp_path, database, str(tmp_path / "artifacts"), more) as url:
        search = f"{url}/api/2.0/mlflow/experiments/search"
        assert requests.post(search, json={"max_results": 1}, timeout=20).status_code == 401
        admin = ("admin", password)
        reader = {"username": "reader", "password": secrets.token_hex(16)}
        made = requests.post(
            f"{url}/api/2.0/mlflow/users/create", json=reader, auth=admin, timeout=20
        )
        assert made.ok, made.text
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
        work = tmp_path / "work"
        settings = ("--set", f"data.root={scans}", "--out", tmp_path / "model")
        train(slicewise, tiny, *settings, work=work)
        assert version_of(url, "champion") == "1"

        # Who may only read sees the models, and is told why nothing can be changed.
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "reader")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", reader["password"])
        assert "champion" in slicewise("models", "--work", work).stdout
        refused = slicewise("rollback", "tiny", "--reason", "no", "--work", work)
        assert refused.returncode != 0
        promoted = slicewise("promote", "models:/tiny/1", "--force", "mine", "--work", work)
        assert "Traceback" not in refused.stderr + promoted.stderr
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
        wrong = slicewise("models", "--work", work)
        assert wrong.returncode != 0
        assert "Traceback" not in wrong.stderr


def test_a_wrong_password_of_the_database_is_one_clear_error(
    slicewise: Slicewise, postgres: Postgres, tmp_path: Path
) -> None:
    wrong = postgres.create_database("shut").replace(postgres.password, "hush-hush")
    file = tmp_path / "server.env"
    file.write_text(f"MLFLOW_BACKEND_STORE_URI={wrong}\nMLFLOW_ARTIFACTS_DESTINATION=/srv/x\n")
    file.chmod(0o600)
    done = slicewise("mlflow-server", file)
    assert done.returncode == 1
    assert "does not accept user name and password" in done.stderr
    assert "hush-hush" not in done.stderr
