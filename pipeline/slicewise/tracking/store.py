"""The store in which MLflow keeps runs, registered models and their files."""

from __future__ import annotations

import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import OutputError, UsageError
from slicewise.imaging.files import private_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

_log = logging.getLogger(__name__)

_SERVER_VARIABLE = "MLFLOW_TRACKING_URI"
_TEMPORARY = "making-"
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)


@dataclass(frozen=True)
class Store:
    """A store of runs and models.

    Attributes:
        uri: MLflow's address of both.
        folder: private folder below the work folder, for files of this store.
        client: MLflow's client, bound to ``uri``; no global setting is involved.
        answers: whether it answered when it was opened.
    """

    uri: str
    folder: Path
    client: MlflowClient
    answers: bool = True

    @property
    def is_local(self) -> bool:
        """Whether the store is the SQLite file of the work folder."""
        return self.uri.startswith("sqlite:")

    @property
    def shown_uri(self) -> str:
        """The address without a password."""
        return shown(self.uri)

    def experiment(self, name: str) -> str:
        """Id of an experiment, which is created if it does not exist."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.folder / "artifacts").as_uri() if self.is_local else None
        return str(self.client.create_experiment(name, artifact_location=location))


@contextmanager
def answering(store: Store, where: str) -> Iterator[None]:
    """Turn what the store refuses into a named error.

    Args:
        store: that is asked.
        where: what the request is about; the error begins with it.

    Raises:
        OutputError: the store does not answer, or refuses what is asked of it.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        is_forbidden = error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED")
        raise OutputError(
            f"{where} in {store.shown_uri}",
            expected="a store that answers and permits this",
            found=(str(error).splitlines() or [type(error).__name__])[0],
            remedy="ask its administrator for the permission, or name another account with "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            if is_forbidden
            else "try again when it answers; nothing is lost",
        ) from error


def open_store(work: Path, *, must_answer: bool = True) -> Store:
    """The store of a work folder, or the server that ``MLFLOW_TRACKING_URI`` names.

    Args:
        work: the work folder.
        must_answer: whether a store that does not open is an error; otherwise what is logged
            waits for it.

    Raises:
        OutputError: the folder cannot be written, or the store does not open and must.
    """
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    folder = private_folder(work.absolute() / "mlflow")
    uri = os.environ.get(_SERVER_VARIABLE)
    if not uri:
        database = folder / "mlflow.db"
        uri = f"sqlite:///{database}"
        _warn_of_network_file_system(folder)
        _ensure_database(database)
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        # The first request opens the store and creates its tables.
        client.search_experiments(max_results=1)
    except MlflowException as error:
        if not must_answer:
            _log.warning("%s does not answer: %s", shown(uri), str(error).splitlines()[0])
            return Store(uri, folder, MlflowClient(tracking_uri=uri, registry_uri=uri), False)
        raise OutputError(
            shown(uri),
            expected="a tracking store that can be opened",
            found=str(error).splitlines()[0],
            remedy=_upgrade(uri, error)
            or f"correct or unset {_SERVER_VARIABLE}, or name another work folder",
        ) from error
    return Store(uri, folder, client)


def open_database(uri: str) -> None:
    """Open a database as a server does; this creates the tables of an empty one.

    Raises:
        OutputError: it does not answer, or its tables are of another MLflow.
    """
    prepare_mlflow()
    import sqlalchemy
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        # MLflow alone would retry for minutes.
        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()
        engine.dispose()
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
        raise OutputError(
            shown(uri),
            expected="a database that can be opened",
            found=str(error).splitlines()[0],
            remedy=_upgrade(uri, error) or "correct its address, or start the database",
        ) from error


def _upgrade(uri: str, error: Exception) -> str:
    """The remedy for tables of another MLflow version; empty for other errors."""
    if "out-of-date database schema" not in str(error):
        return ""
    return (
        "back up the database, stop everything that uses it, then run: "
        f"mlflow db upgrade {shown(uri)}; if a newer MLflow wrote it, install that version"
    )


def _ensure_database(path: Path) -> None:
    """Create the tables in a temporary file first: a killed process leaves no partial database."""
    from filelock import FileLock
    from mlflow import MlflowClient

    if path.is_file():
        return
    with FileLock(f"{path}.lock"):
        if path.is_file():
            return
        for left in path.parent.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.parent) as folder:
            created = Path(folder) / path.name
            MlflowClient(tracking_uri=f"sqlite:///{created}").search_experiments(max_results=1)
            created.rename(path)


def mlflow_ui_command(store: Store, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command that serves MLflow's web interface for a local store.

    Raises:
        UsageError: the store is a server, which has its own web interface.
    """
    if not store.is_local:
        raise UsageError(
            store.uri,
            expected="a store in the work folder",
            found=f"a server, set by {_SERVER_VARIABLE}",
            remedy="open its address in a browser",
        )
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", store.uri, "--registry-store-uri", store.uri]
    # Without this, files of experiments created in the web interface go to the current folder.
    command += ["--default-artifact-root", (store.folder / "artifacts").as_uri()]
    # Refuses web pages that reach this machine under another host name.
    command += ["--allowed-hosts", f"{host}:{port},localhost:{port}"]
    # For one user, more workers only cost memory.
    return [*command, "--no-serve-artifacts", "--workers", "1"]


def shown(uri: str) -> str:
    """An address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def prepare_mlflow() -> None:
    """Turn off MLflow's telemetry and its start-up messages; call it before MLflow is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    # By default MLflow retries for minutes; variables that the user has set are kept.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    import mlflow  # noqa: F401  (it sets its loggers up when imported)

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _warn_of_network_file_system(folder: Path) -> None:
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        _log.warning(
            "%s lies on a network file system (%s), where SQLite may lose runs; "
            "use a local work folder, or a server named by %s",
            folder,
            kind,
            _SERVER_VARIABLE,
        )


def _file_system(folder: Path) -> str:
    import psutil

    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    resolved = folder.resolve()
    for parent in (resolved, *resolved.parents):
        if str(parent) in mounts:
            return str(mounts[str(parent)])
    return ""
