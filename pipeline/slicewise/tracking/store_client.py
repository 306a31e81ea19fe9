"""MLflow's client of one store, whose failures are errors that people can read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slicewise.tracking.addresses import with_scheme
from slicewise.tracking.local_database import require_usable, require_writable
from slicewise.tracking.store_problems import (
    SERVER_VARIABLE,
    USABLE,
    StoreError,
    guarded,
    shown,
    status_error,
    store_error,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CONNECTION_SECONDS = 5
_SEARCH = "/api/2.0/mlflow/experiments/search"


class StoreClient:
    """Has every method of ``MlflowClient``, bound to one store; no global setting is involved.

    MLflow's own client fails when it is created where the store cannot be used. This one is
    created at any time, and every request tries again.

    Args:
        uri: address of the store.
        database: the file of a local store; None for others.
    """

    def __init__(self, uri: str, database: Path | None = None) -> None:
        self._uri, self._database = uri, database
        self._where = str(database) if database else shown(uri)
        self._client: MlflowClient | None = None
        self._identity: tuple[int, int] | None = None

    def open(self, timeout_seconds: int | None = None) -> None:
        """Ask the store something, after a quick look whether it can answer.

        Args:
            timeout_seconds: longest time that a server may take; None for that of MLflow.

        Raises:
            StoreError: it cannot be used.
        """
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self.require_usable(timeout_seconds)
        try:
            with guarded(self._where):
                self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            self.search_experiments(max_results=1)
        except MlflowException as error:
            raise store_error(self._where, error) from error

    def require_usable(self, timeout_seconds: int | None = None) -> None:
        """A quick look whether the store can answer; MLflow itself would try for minutes.

        Raises:
            StoreError: it cannot be used.
        """
        scheme = urlsplit(self._uri).scheme
        if self._database is not None:
            require_usable(self._database)
            self._require_same_file()
            return
        _require_address(self._uri)
        if scheme in ("http", "https"):
            _require_server(self._uri, timeout_seconds)
        elif "sql" in scheme:
            require_database(self._uri)

    def require_writable(self) -> None:
        """A quick look whether a local store can be written now.

        Raises:
            StoreError: it cannot, or it cannot be used at all.
        """
        if self._database is not None:
            self._require_same_file()
            require_writable(self._database, patience_seconds=1)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def request(*arguments: Any, **more: Any) -> Any:
            with guarded(self._where):
                self._require_same_file()
                return getattr(self._opened(), name)(*arguments, **more)

        return request

    def _opened(self) -> MlflowClient:
        from mlflow import MlflowClient

        if self._client is None:
            # MLflow would make tables in whatever file is there.
            self.require_usable()
            self._client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        return self._client

    def _require_same_file(self) -> None:
        """Refuse a database that was removed or replaced: SQLite would write into the old one."""
        if self._database is None or self._client is None:
            return
        try:
            status = self._database.stat()
        except OSError as error:
            raise _gone(self._database) from error
        identity = (status.st_dev, status.st_ino)
        if self._identity not in (None, identity):
            raise _gone(self._database)
        self._identity = identity


def require_database(uri: str) -> None:
    """Connect to a database once; MLflow alone would retry for minutes.

    Raises:
        StoreError: it does not answer, or its driver is missing.
    """
    import sqlalchemy

    waits = "postgres" in uri.partition(":")[0] or uri.startswith("mysql")
    options: Mapping[str, Any] = {"connect_timeout": _CONNECTION_SECONDS} if waits else {}
    with guarded(shown(uri)):
        engine = sqlalchemy.create_engine(uri, connect_args=dict(options))
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def _require_server(uri: str, timeout_seconds: int | None) -> None:
    """Ask a server for its experiments, and look at whatever it answers."""
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    where = shown(uri)
    with guarded(where):
        answer = http_request(
            get_default_host_creds(uri),
            _SEARCH,
            "POST",
            json={"max_results": 1},
            timeout=timeout_seconds,
            max_retries=0,
            raise_on_status=False,
            allow_redirects=False,
        )
    if answer.is_redirect:
        target = str(answer.headers["Location"]).partition(_SEARCH)[0]
        raise status_error(where, answer.status_code, target)
    if answer.status_code != 200:
        raise status_error(where, answer.status_code)
    try:
        content = answer.json()
    except ValueError as error:
        raise status_error(where, answer.status_code) from error
    if not isinstance(content, dict) or content.keys() - {"experiments", "next_page_token"}:
        raise status_error(where, answer.status_code)


def _gone(path: Path) -> StoreError:
    return StoreError(
        path,
        expected="the database that this command has opened",
        found="it was removed or replaced meanwhile",
        remedy="run the command again; what this run has logged is kept for `slicewise sync`",
    )


def _require_address(uri: str) -> None:
    """Refuse the address of a host, which needs its scheme, or of SQLite without a file."""
    if corrected := with_scheme(uri):
        raise StoreError(
            shown(uri),
            expected=USABLE,
            found="an address without http:// or https://",
            remedy=f"set {SERVER_VARIABLE} to {corrected}, or to https:// where the server "
            "expects that",
        )
    if urlsplit(uri).scheme.startswith("sqlite"):
        raise StoreError(
            uri,
            expected=USABLE,
            found="a database in memory, which is gone when the command ends",
            remedy=f"add the path of a file, or unset {SERVER_VARIABLE} to use the store of the "
            "work folder",
        )
