"""Settings of a group's server: what would leave it open, or be ignored, is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slicewise.errors import OutputError, UsageError
from slicewise.tracking.group_server import EXAMPLE, read_server
from slicewise.tracking.store import open_database

GOOD = {
    "MLFLOW_BACKEND_STORE_URI": "postgresql://me:secret@127.0.0.1:5432/runs",
    "MLFLOW_ARTIFACTS_DESTINATION": "/srv/artifacts",
}
ACCOUNTS = """[mlflow]
default_permission = READ
database_uri = sqlite:////srv/accounts.db
admin_username = admin
"""


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.ini"
    path.write_text(ACCOUNTS)
    path.chmod(0o600)
    return path


def written(tmp_path: Path, **changes: str | None) -> Path:
    settings = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    path = tmp_path / "server.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    path.chmod(0o600)
    return path


def test_loopback_and_its_names_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("MLFLOW_HOST", "0.0.0.0")
    server = read_server(written(tmp_path))
    assert (server.host, server.port, server.has_accounts) == ("127.0.0.1", 5000, False)
    environment = server.environment()
    assert "MLFLOW_TRACKING_URI" not in environment
    assert "MLFLOW_HOST" not in environment
    assert set(environment["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")) == {
        *("127.0.0.1:5000", "localhost:5000", "[::1]:5000")
    }
    assert environment["PATH"] == os.environ["PATH"]


def test_no_secret_is_shown(tmp_path: Path, accounts: Path) -> None:
    path = written(
        tmp_path,
        MLFLOW_AUTH_CONFIG_PATH=str(accounts),
        MLFLOW_FLASK_SERVER_SECRET_KEY="hidden",
        MLFLOW_AUTH_ADMIN_PASSWORD="hidden too",
    )
    server = read_server(path)
    assert server.has_accounts
    seen = " ".join([*server.command(), server.shown_places])
    assert "secret" not in seen
    assert "hidden" not in seen
    assert "--app-name basic-auth" in seen


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"MLFLOW_BACKEND_STORE_URI": None}, "MLFLOW_BACKEND_STORE_URI"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": None}, "MLFLOW_ARTIFACTS_DESTINATION"),
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:////tmp/a.db"}, "PostgreSQL"),
        ({"MLFLOW_ARTIFACTS_DESTINATION": "here"}, "absolute path"),
        ({"MLFLOW_PROT": "5000"}, "did you mean MLFLOW_PORT"),
        ({"SOMETHING": "x"}, EXAMPLE),
        ({"MLFLOW_PORT": "http"}, "whole number"),
        ({"MLFLOW_WORKERS": "0"}, "whole number"),
        ({"MLFLOW_HOST": "0.0.0.0"}, "the host names"),
        ({"MLFLOW_SERVER_ALLOWED_HOSTS": "a, *"}, "every name"),
        ({"MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": "*"}, "every name"),
        ({"MLFLOW_AUTH_CONFIG_PATH": "/none.ini"}, "SECRET_KEY"),
        (
            {"MLFLOW_AUTH_CONFIG_PATH": "/none.ini", "MLFLOW_FLASK_SERVER_SECRET_KEY": "x"},
            "absolute path of a file",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, changes: dict[str, str | None], found: str) -> None:
    with pytest.raises(UsageError, match=found) as caught:
        read_server(written(tmp_path, **changes))
    assert "me:secret" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[other]\na = 1\n",
        "[mlflow]\nadmin_username = a\n",
        ACCOUNTS.replace("sqlite:////srv/accounts.db", "postgresql://me@here/accounts"),
    ],
)
def test_accounts_are_complete(tmp_path: Path, accounts: Path, content: str) -> None:
    accounts.write_text(content)
    path = written(
        tmp_path, MLFLOW_AUTH_CONFIG_PATH=str(accounts), MLFLOW_FLASK_SERVER_SECRET_KEY="x"
    )
    with pytest.raises(UsageError, match=r"mlflow|database_uri"):
        read_server(path)


def test_a_file_with_passwords_is_for_its_owner(tmp_path: Path, accounts: Path) -> None:
    path = written(tmp_path)
    path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        read_server(path)
    accounts.chmod(0o644)
    path = written(
        tmp_path, MLFLOW_AUTH_CONFIG_PATH=str(accounts), MLFLOW_FLASK_SERVER_SECRET_KEY="x"
    )
    with pytest.raises(UsageError, match="chmod 600"):
        read_server(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_server(tmp_path / "none.env")


def test_the_example_becomes_valid_by_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "server.env"
    path.write_text((Path(__file__).parents[2] / EXAMPLE).read_text())
    path.chmod(0o600)
    assert read_server(path).port == 5000


def test_a_database_that_is_down_is_named_without_its_password() -> None:
    with pytest.raises(OutputError) as caught:
        open_database("postgresql+psycopg2://me:secret@127.0.0.1:1/runs")
    assert "start the database" in str(caught.value)
    assert "secret" not in str(caught.value)
