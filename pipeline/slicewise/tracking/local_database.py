"""The SQLite file of a work folder: its address, its tables, and whether it can be used."""

from __future__ import annotations

import logging
import shlex
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

from slicewise.tracking.store_problems import (
    SERVER_VARIABLE,
    USABLE,
    StoreError,
    guarded,
    store_error,
)

_log = logging.getLogger(__name__)

_TEMPORARY = "making-"
_PATIENCE_SECONDS = 5.0
"""Longest wait for another program that writes; one transaction takes milliseconds."""
_NETWORK_FILE_SYSTEMS = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)


def sqlite_uri(path: Path) -> str:
    """Address of a database, for SQLAlchemy and MLflow.

    Args:
        path: absolute; it may hold any character.
    """
    from sqlalchemy import URL

    text = str(path)
    if unquote(text) == text and "?" not in text:
        return f"sqlite:///{text}"
    # MLflow creates the folder of an address as it is written, but not where the driver is named.
    return URL.create("sqlite+pysqlite", database=text).render_as_string(hide_password=False)


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite address; None for another address."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy import make_url

    with guarded(uri):
        found = make_url(uri).database
    return Path(found).absolute() if found and found != ":memory:" else None


def ensure_database(path: Path) -> None:
    """Create the tables in a temporary file first: a killed process leaves no partial database.

    Raises:
        StoreError: the folder cannot be written, or there is no space.
    """
    if _has_content(path):
        return
    from filelock import FileLock

    try:
        with FileLock(f"{path}.lock"):
            if not _has_content(path):
                _create(path)
    except OSError as error:
        raise store_error(str(path), error) from error


def _has_content(path: Path) -> bool:
    try:
        # A folder, for instance, is refused later, in words.
        return path.exists() and not (path.is_file() and path.stat().st_size == 0)
    except OSError as error:
        raise store_error(str(path), error) from error


def _create(path: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    if path.exists():
        _log.warning("%s was empty; a new database takes its place", path)
    for left in path.parent.glob(f"{_TEMPORARY}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.parent) as folder:
        created = Path(folder) / path.name
        with guarded(str(path)):
            # MLflow's own experiment gets an address of files. By default that is the current
            # folder, and an apostrophe in its path is an error in MLflow.
            address = (path.parent / "artifacts").as_uri()
            SqlAlchemyStore(sqlite_uri(created), address).engine.dispose()
        created.rename(path)


def require_usable(path: Path, patience_seconds: float | None = None) -> None:
    """Open a database as MLflow would, which takes minutes to say that it cannot.

    Args:
        path: of the file.
        patience_seconds: longest wait for another program that has locked it; None for seconds.

    Raises:
        StoreError: missing, no file, locked, damaged, or with the tables of another program or
            another MLflow version.
    """
    _require_file(path)
    try:
        with closing(_connected(path, patience_seconds or _PATIENCE_SECONDS)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            if "alembic_version" not in tables:
                raise _of_another_program(path)
            versions = database.execute("SELECT version_num FROM alembic_version").fetchall()
    except sqlite3.Error as error:
        raise store_error(str(path), error) from error
    _require_version(path, versions[0][0] if versions else "none")


def require_writable(path: Path, patience_seconds: float) -> None:
    """Begin a transaction, as the next one that writes will.

    Args:
        path: of the file.
        patience_seconds: longest wait for another program that writes.

    Raises:
        StoreError: another program writes, or this user may not.
    """
    _require_file(path)
    try:
        with closing(_connected(path, patience_seconds)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        raise store_error(str(path), error) from error


def _require_file(path: Path) -> None:
    if not path.is_file():
        found = "a folder in its place" if path.is_dir() else "no such file"
        raise StoreError(
            path,
            expected=USABLE,
            found=found,
            remedy="move the folder away; the next training makes a new database"
            if path.is_dir()
            else "restore it from a backup; the next training makes a new one",
        )


def _connected(path: Path, patience_seconds: float) -> sqlite3.Connection:
    # SQLite would make an empty file where there is none.
    address = f"file:{quote(str(path))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=patience_seconds)


def _require_version(path: Path, version: str) -> None:
    import mlflow

    newest, *older = _table_versions()
    if version == newest:
        return
    is_older = version in older
    raise StoreError(
        path,
        expected=f"the tables of MLflow {mlflow.__version__}",
        found="tables of an older MLflow" if is_older else f"tables of another MLflow ({version})",
        remedy="back up the database, stop everything that uses it, then run: mlflow db upgrade "
        + shlex.quote(sqlite_uri(path))
        if is_older
        else "install the newer MLflow that wrote it, or name another `work` folder",
    )


@cache
def _table_versions() -> tuple[str, ...]:
    """Versions of the tables that the installed MLflow knows, the newest first."""
    import mlflow
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    return tuple(script.revision for script in scripts.walk_revisions())


def _of_another_program(path: Path) -> StoreError:
    return StoreError(
        path,
        expected=USABLE,
        found="an SQLite database that MLflow did not write",
        remedy="move it away; the next training makes a new database",
    )


def warn_of_network_file_system(folder: Path) -> None:
    """Log a warning where SQLite may lose runs."""
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        _log.warning(
            "%s lies on a network file system (%s), where SQLite may lose runs; "
            "use a local work folder, or a server named by %s",
            folder,
            kind,
            SERVER_VARIABLE,
        )


def _file_system(folder: Path) -> str:
    import psutil

    mounts = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    resolved = folder.resolve()
    for parent in (resolved, *resolved.parents):
        if str(parent) in mounts:
            return str(mounts[str(parent)])
    return ""
