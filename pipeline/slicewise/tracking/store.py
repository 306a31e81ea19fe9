"""The store in which MLflow keeps runs, registered models and their files."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from slicewise.errors import UsageError
from slicewise.imaging.files import private_folder
from slicewise.imaging.target import require_writable
from slicewise.tracking.local_database import (
    ensure_database,
    sqlite_path,
    sqlite_uri,
    warn_of_network_file_system,
)
from slicewise.tracking.store_client import StoreClient
from slicewise.tracking.store_problems import (
    SERVER_VARIABLE,
    StoreError,
    shown,
    store_error,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.5",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
_START_SECONDS = 5
"""Longest time that the start of a training waits for a server."""


@dataclass(frozen=True)
class Store:
    """A store of runs and models.

    Attributes:
        uri: MLflow's address of both.
        folder: private folder below the work folder, for files of this store.
        client: of both; see ``StoreClient`` for what it raises.
        problem: why it could not be used when it was opened; empty if it could.
    """

    uri: str
    folder: Path
    client: MlflowClient
    problem: str = ""

    @property
    def is_local(self) -> bool:
        """Whether the store is the SQLite file of the work folder."""
        return self.uri.startswith("sqlite")

    @property
    def answers(self) -> bool:
        """Whether it could be used when it was opened."""
        return not self.problem

    @property
    def shown_uri(self) -> str:
        """The address without a password."""
        return shown(self.uri)

    def require_writable(self) -> None:
        """A quick look whether it can be written now, before MLflow tries for long.

        Raises:
            StoreError: it cannot.
        """
        cast("StoreClient", self.client).require_writable()

    def experiment(self, name: str) -> str:
        """Id of an experiment, which is created if it does not exist."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.folder / "artifacts").as_uri() if self.is_local else None
        return str(self.client.create_experiment(name, artifact_location=location))


@contextmanager
def answering(store: Store, where: str) -> Iterator[None]:
    """Turn an answer of the store that nobody expects into an error that says what was asked.

    Args:
        store: that is asked.
        where: what the request is about; the error begins with it.

    Raises:
        StoreError: the store cannot be used, or refuses what is asked of it.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise store_error(f"{where} in {store.shown_uri}", error) from error


def open_store(work: Path, *, must_answer: bool = True) -> Store:
    """The store of a work folder, or the server that ``MLFLOW_TRACKING_URI`` names.

    Args:
        work: the work folder.
        must_answer: whether a store that cannot be used is an error; otherwise what is logged
            waits for it.

    Raises:
        StoreError: the store cannot be used and must.
        OutputError: the work folder cannot be written.
    """
    prepare_mlflow()
    folder = work.absolute() / "mlflow"
    require_writable(folder, "work")
    private_folder(folder)
    server = os.environ.get(SERVER_VARIABLE, "").strip()
    uri = with_driver(server) if server else sqlite_uri(folder / "mlflow.db")
    database = sqlite_path(uri)
    client = StoreClient(uri, database)
    problem = ""
    try:
        if database is not None:
            warn_of_network_file_system(database.parent)
            ensure_database(database)
        client.open(None if must_answer else _START_SECONDS)
    except StoreError as error:
        if must_answer:
            raise
        problem = error.found
    return Store(uri, folder, cast("MlflowClient", client), problem)


def open_database(uri: str) -> None:
    """Open a database as a server does; this creates the tables of an empty one.

    Raises:
        OutputError: it does not answer, or its tables are of another MLflow.
    """
    prepare_mlflow()
    try:
        StoreClient(uri).open()
    except StoreError as error:
        if SERVER_VARIABLE not in error.remedy:
            raise
        # Its address is in a file of settings.
        remedy = "correct its address, or start the database"
        raise StoreError(
            error.where, expected=error.expected, found=error.found, remedy=remedy
        ) from error


def with_driver(uri: str) -> str:
    """An address with the driver of PostgreSQL, which otherwise depends on SQLAlchemy's version."""
    return uri.replace("postgresql://", "postgresql+psycopg2://", 1)


HTTP_PROTOCOL = "--http slicewise.tracking.serving.connections:MlflowProtocol"
"""Option of uvicorn that makes MLflow's server refuse every request of a foreign web page."""


def mlflow_ui_command(store: Store, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command that serves MLflow's web interface for a local store.

    Raises:
        UsageError: the store is a server, which has its own web interface.
    """
    if not store.is_local:
        raise UsageError(
            store.uri,
            expected="a store in the work folder",
            found=f"a server, set by {SERVER_VARIABLE}",
            remedy="open its address in a browser",
        )
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", store.uri, "--registry-store-uri", store.uri]
    # Without this, files of experiments created in the web interface go to the current folder.
    command += ["--default-artifact-root", (store.folder / "artifacts").as_uri()]
    # Refuses web pages that reach this machine under another host name.
    command += ["--allowed-hosts", f"{host}:{port},localhost:{port}"]
    # For one user, more workers only cost memory.
    return [*command, "--no-serve-artifacts", "--workers", "1", "--uvicorn-opts", HTTP_PROTOCOL]


def prepare_mlflow() -> None:
    """Turn off what MLflow sends and prints by itself; call it before MLflow is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    # By default MLflow retries for minutes; variables that the user has set are kept. One retry,
    # as a server may have closed the connection meanwhile.
    for name, value in _PATIENCE.items():
        if not os.environ.get(name, "").strip():
            os.environ[name] = value
    import mlflow  # noqa: F401  (it sets its loggers up when imported)

    # They print the traceback of every failure, which comes as an exception as well.
    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
