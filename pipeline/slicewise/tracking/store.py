"""A work folder in, the place out where MLflow keeps runs, models and their files."""

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
_MAKING = "making-"
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)


@dataclass(frozen=True)
class Store:
    """Where runs and models are kept.

    Attributes:
        uri: MLflow's address of both runs and models.
        folder: private folder below the work folder, for files of this store.
        client: MLflow's client, bound to ``uri``; no global setting is involved.
        answers: whether it did when it was opened.
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
        """Identifier of an experiment, which is made when it does not exist."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self.folder / "artifacts").as_uri() if self.is_local else None
        return str(self.client.create_experiment(name, artifact_location=location))


@contextmanager
def answering(store: Store, where: str) -> Iterator[None]:
    """Name what the store refuses.

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
        must_answer: whether a store that does not open is an error; what is told to it waits
            otherwise.

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
        # The first request is what opens a store; its tables are made here, once.
        client.search_experiments(max_results=1)
    except MlflowException as error:
        if not must_answer:
            _log.warning("%s does not answer: %s", shown(uri), str(error).splitlines()[0])
            return Store(uri, folder, MlflowClient(tracking_uri=uri, registry_uri=uri), False)
        raise OutputError(
            shown(uri),
            expected="a store of runs that opens",
            found=str(error).splitlines()[0],
            remedy=_upgrade(uri, error)
            or f"correct or unset {_SERVER_VARIABLE}, or name another --work folder",
        ) from error
    return Store(uri, folder, client)


def open_database(uri: str) -> None:
    """Open a database as a server does, which makes the tables of an empty one.

    Raises:
        OutputError: it does not answer, or its tables are of another MLflow.
    """
    prepare_mlflow()
    import sqlalchemy
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        # MLflow would ask a database that is down for minutes.
        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()
        engine.dispose()
        MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError) as error:
        raise OutputError(
            shown(uri),
            expected="a database that opens",
            found=str(error).splitlines()[0],
            remedy=_upgrade(uri, error) or "correct its address, or start the database",
        ) from error


def _upgrade(uri: str, error: Exception) -> str:
    """What to do about tables of another MLflow; empty for another error."""
    if "out-of-date database schema" not in str(error):
        return ""
    return (
        "make a copy of the database, end all that use it, then: "
        f"mlflow db upgrade {shown(uri)}; if it was written by a newer MLflow, install that version"
    )


def _ensure_database(path: Path) -> None:
    """Make the tables beside, once, so that a process that is killed leaves no half of them."""
    from filelock import FileLock
    from mlflow import MlflowClient

    if path.is_file():
        return
    with FileLock(f"{path}.lock"):
        if path.is_file():
            return
        for left in path.parent.glob(f"{_MAKING}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_MAKING, dir=path.parent) as folder:
            made = Path(folder) / path.name
            MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
            made.rename(path)


def mlflow_ui_command(store: Store, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """The command that serves the web page of a local store.

    Raises:
        UsageError: the store is a server and has its own page.
    """
    if not store.is_local:
        raise UsageError(
            store.uri,
            expected="a store in the work folder",
            found=f"a server, named by {_SERVER_VARIABLE}",
            remedy="open its address in a browser",
        )
    command = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    command += ["--backend-store-uri", store.uri, "--registry-store-uri", store.uri]
    # Without this, files of experiments that are made in the page go to the current folder.
    command += ["--default-artifact-root", (store.folder / "artifacts").as_uri()]
    # A foreign web page that calls this machine by a name of its own is refused.
    command += ["--allowed-hosts", f"{host}:{port},localhost:{port}"]
    # One person reads one database; more workers only cost memory.
    return [*command, "--no-serve-artifacts", "--workers", "1"]


def shown(uri: str) -> str:
    """An address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def prepare_mlflow() -> None:
    """Nothing is sent anywhere, and start-up messages stay off the console."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    # MLflow would ask a server that is down for minutes; who wants that says so.
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
            "name a local --work folder, or a server with %s",
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
