"""The tracking server of a group: its settings, read from a file and checked, and its command."""

from __future__ import annotations

import configparser
import difflib
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slicewise.errors import OutputError, UsageError, file_problem
from slicewise.tracking.store import HTTP_PROTOCOL, open_database, with_driver
from slicewise.tracking.store_problems import shown

EXAMPLE = "configs/mlflow-server.env"
_DATABASE, _ARTIFACTS = "MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION"
_HOST, PORT_SETTING, _WORKERS = "MLFLOW_HOST", "MLFLOW_PORT", "MLFLOW_WORKERS"
DEFAULT_PORT = 5000
"""MLflow's own default; a served model and the web interface have others."""
_HOSTS, _ORIGINS = "MLFLOW_SERVER_ALLOWED_HOSTS", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"
_ACCOUNTS, _SECRET = "MLFLOW_AUTH_CONFIG_PATH", "MLFLOW_FLASK_SERVER_SECRET_KEY"
_ADMIN = "MLFLOW_AUTH_ADMIN_PASSWORD"
_S3 = (
    *("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_S3_IGNORE_TLS", "AWS_ACCESS_KEY_ID"),
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"),
)
_KNOWN = (
    *(_DATABASE, _ARTIFACTS, _HOST, PORT_SETTING, _WORKERS, _HOSTS, _ORIGINS),
    *(_ACCOUNTS, _SECRET, _ADMIN, *_S3),
)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CALLED = ("127.0.0.1", "localhost", "[::1]")
_DRIVER = "postgresql+psycopg2://"


@dataclass(frozen=True)
class GroupServer:
    """A tracking server with its settings.

    Attributes:
        settings: names to values, under MLflow's own names; passwords are among them.
    """

    settings: Mapping[str, str]

    @property
    def host(self) -> str:
        """Address to listen at."""
        return self.settings.get(_HOST, "127.0.0.1")

    @property
    def port(self) -> int:
        """Port to listen at."""
        return int(self.settings.get(PORT_SETTING, DEFAULT_PORT))

    @property
    def has_accounts(self) -> bool:
        """Whether it asks for a user name and a password."""
        return _ACCOUNTS in self.settings

    @property
    def database(self) -> str:
        """Address of the database, with its password and its driver."""
        return with_driver(self.settings[_DATABASE])

    @property
    def shown_places(self) -> str:
        """Addresses of database and artifacts, without passwords."""
        return f"runs in {shown(self.database)}, files in {shown(self.settings[_ARTIFACTS])}"

    def command(self) -> list[str]:
        """The command; it has no secrets, as all users of a machine can see it."""
        command = [sys.executable, "-m", "mlflow", "server", "--serve-artifacts"]
        command += ["--host", self.host, "--port", str(self.port)]
        command += ["--uvicorn-opts", HTTP_PROTOCOL]
        command += ["--workers", self.settings.get(_WORKERS, "2")]
        return [*command, "--app-name", "basic-auth"] if self.has_accounts else command

    def environment(self) -> dict[str, str]:
        """The environment variables of the process, from which MLflow reads the settings."""
        kept = {name: value for name, value in os.environ.items() if name not in _KNOWN}
        # The server is not a client of another server.
        kept.pop("MLFLOW_TRACKING_URI", None)
        hosts = self.settings.get(_HOSTS)
        own = {} if hosts else {_HOSTS: ",".join(f"{name}:{self.port}" for name in _CALLED)}
        own |= {_DATABASE: self.database, "MLFLOW_DISABLE_TELEMETRY": "true"}
        return {**kept, **self.settings, **own}

    def open(self) -> None:
        """Open the database once; the tables of an empty one are created.

        Raises:
            OutputError: it does not answer, is of another MLflow, or its driver is missing.
        """
        open_database(self.database)


def read_server(path: Path) -> GroupServer:
    """Read and check a settings file.

    Args:
        path: ``NAME=value`` lines; ``configs/mlflow-server.env`` explains each.

    Raises:
        UsageError: unreadable, readable by others, an unknown or missing name, or a value that
            would leave the server open.
    """
    from dotenv import dotenv_values

    _require_private(path)
    found = {name: value for name, value in dotenv_values(path).items() if value}
    for name in dotenv_values(path):
        if name not in _KNOWN:
            close = difflib.get_close_matches(name, _KNOWN, n=1)
            raise _wrong(
                path,
                "a setting of the server",
                name,
                f"did you mean {close[0]}?" if close else f"{EXAMPLE} shows all of them",
            )
    for name in (_DATABASE, _ARTIFACTS):
        if name not in found:
            raise _wrong(path, f"a value of {name}", "none", f"add it; see {EXAMPLE}")
    _require_places(path, found[_DATABASE], found[_ARTIFACTS])
    for name in (PORT_SETTING, _WORKERS):
        if not found.get(name, "1").isdigit() or int(found.get(name, "1")) == 0:
            raise _wrong(path, f"{name} as a whole number above 0", found[name], "correct it")
    _require_closed(path, found)
    if _ACCOUNTS in found:
        _require_accounts(path, found)
    return GroupServer(found)


def _require_private(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        path.read_bytes()
    except OSError as error:
        remedy = f"install -m 600 {EXAMPLE} {path}, and fill it in"
        raise _wrong(path, "a readable file", file_problem(error), remedy) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        found = f"mode {stat.S_IMODE(mode):o}"
        raise _wrong(
            path,
            "a file that only its owner can read, as it has passwords",
            found,
            f"chmod 600 {path}",
        )


def _require_places(path: Path, database: str, artifacts: str) -> None:
    if not database.startswith(("postgresql://", _DRIVER)):
        raise _wrong(
            path,
            f"{_DATABASE}=postgresql://user:password@host:5432/name",
            shown(database),
            "name a PostgreSQL database; a single user needs no server",
        )
    if "://" not in artifacts and not Path(artifacts).is_absolute():
        raise _wrong(
            path, f"{_ARTIFACTS} as an absolute path or s3://bucket/folder", artifacts, "correct it"
        )


def _require_closed(path: Path, found: Mapping[str, str]) -> None:
    for name in (_HOSTS, _ORIGINS):
        if "*" in (part.strip() for part in found.get(name, "").split(",")):
            raise _wrong(path, f"names in {name}", "* (every name)", "list each name")
    host = found.get(_HOST, "127.0.0.1")
    if host not in _LOOPBACK and _HOSTS not in found:
        raise _wrong(
            path,
            f"{_HOSTS}, the host names of the server",
            f"none, although it listens at {host}",
            f"add it, for instance {_HOSTS}=mlflow.example.org:5000",
        )


def _require_accounts(path: Path, found: Mapping[str, str]) -> None:
    file = Path(found[_ACCOUNTS])
    if _SECRET not in found:
        raise _wrong(path, f"a value of {_SECRET}", "none", "add a long random text")
    if not file.is_absolute() or not file.is_file():
        raise _wrong(path, f"{_ACCOUNTS} as the absolute path of a file", str(file), "correct it")
    _require_private(file)
    accounts = configparser.ConfigParser(interpolation=None)
    try:
        accounts.read(file)
        section = accounts["mlflow"]
    except (configparser.Error, KeyError) as error:
        shown = " ".join(str(error).split())
        raise _wrong(file, "a section [mlflow]", shown, f"see {EXAMPLE}") from error
    for name in ("database_uri", "admin_username", "default_permission"):
        if not section.get(name):
            raise _wrong(file, f"a value of {name}", "none", f"see {EXAMPLE}")
    if section["database_uri"].startswith("postgresql://"):
        raise _wrong(file, f"database_uri with its driver: {_DRIVER}...", "none", "add the driver")


def require_parts(server: GroupServer) -> None:
    """Check that the packages that the settings need are installed.

    Raises:
        OutputError: one is missing.
    """
    from importlib.util import find_spec

    needed = {"psycopg2": True, "flask_wtf": server.has_accounts}
    needed["boto3"] = server.settings[_ARTIFACTS].startswith("s3://")
    missing = [name for name, is_needed in needed.items() if is_needed and not find_spec(name)]
    if missing:
        raise OutputError(
            "this environment",
            expected=f"the packages {', '.join(missing)}",
            found="not installed",
            remedy="pip install 'slicewise[server]'",
        )


def _wrong(path: Path, expected: str, found: str, remedy: str) -> UsageError:
    return UsageError(str(path), expected=expected, found=found, remedy=remedy)
