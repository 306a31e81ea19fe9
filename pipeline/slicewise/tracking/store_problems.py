"""Says in plain words why a tracking store cannot be used, and what to do about it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from slicewise.errors import OutputError, SlicewiseError

SERVER_VARIABLE = "MLFLOW_TRACKING_URI"
USABLE = "a tracking store that can be used"
_LONGEST_TEXT = 300

_ANSWERS = frozenset(
    {
        *("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "RESOURCE_CONFLICT"),
        *("INVALID_PARAMETER_VALUE", "INVALID_STATE", "NOT_FOUND"),
    }
)
"""MLflow's codes with which a store that works answers a request."""

_LATER = "try again when it answers; what waits for it is kept"
_ACCOUNT = (
    "ask its administrator for the permission, or name another account with "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
)
_ADDRESS = f"correct {SERVER_VARIABLE}, or unset it to use the store of the work folder"
_SPACE = "free space on its disk, or name another `work` folder; nothing that was kept is lost"

# Of SQLite, of PostgreSQL, of the network, of MLflow: the first that is found in the text holds.
_PROBLEMS: tuple[tuple[str, str, str], ...] = (
    (
        r"(database|table)( schema)? is locked",
        "another program has locked it",
        "end the program that uses the file, or wait for it, and try again; what waits is kept",
    ),
    (
        r"disk is full|No space left|disk quota|EDQUOT|ENOSPC|File too large",
        "no space left on its disk",
        _SPACE,
    ),
    (
        r"disk I/O error|Input/output error",
        "its disk cannot be read or written",
        "check the disk and its free space, then try again",
    ),
    (
        r"readonly database|read-only|Permission denied: '/|EACCES|unable to open database file",
        "it cannot be opened and written by this user",
        "correct the permissions of the file and its folder, or name another `work` folder",
    ),
    (
        r"file is not a database|malformed|file is encrypted|unsupported file format",
        "a damaged file",
        "restore it from a backup, or move it away: the next training makes a new one; models and "
        "results in the folders of runs are not affected",
    ),
    (
        r"out-of-date database schema|Can't locate revision|no such (table|column)",
        "tables of another MLflow version",
        "back up the database, stop everything that uses it, then run: mlflow db upgrade {where}; "
        "if a newer MLflow wrote it, install that version",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSL:|wrong version number|TLS",
        "no secure connection: its certificate or its protocol is not accepted",
        "write http:// or https:// as the server expects; MLFLOW_TRACKING_SERVER_CERT_PATH names "
        "the certificate of a server of your own",
    ),
    (
        r"password authentication failed|no password supplied|role .* does not exist",
        "the database does not accept user name and password",
        "correct both in its address",
    ),
    (
        r"database .* does not exist|Unknown database",
        "there is no database of that name",
        "correct the name in its address, or create the database",
    ),
    (
        r"Invalid ?[Uu][Rr][Ll]|host='', |Failed to parse|InvalidSchema|port .*range"
        r"|Port could not",
        "not the address of a server",
        _ADDRESS,
    ),
    (
        r"NameResolutionError|Name or service not known|could not translate host|getaddrinfo"
        r"|Temporary failure in name resolution|nodename nor servname",
        "no computer of that name is known",
        _ADDRESS,
    ),
    (
        r"refused",
        "nothing answers there: the connection is refused",
        f"start the server, or correct {SERVER_VARIABLE}; what waits for it is kept",
    ),
    (r"timed? ?out|timeout", "no answer in time", _LATER),
    (
        r"unreachable|No route to host|Connection aborted|Connection reset|RemoteDisconnected"
        r"|server closed the connection|Broken pipe|ConnectionError",
        "the connection is interrupted",
        _LATER,
    ),
    (r"Exceeded \d+ redirects|TooManyRedirects|redirect", "it redirects elsewhere", _ADDRESS),
    (
        r"No module named",
        "the driver of this database is not installed",
        "install it; pip install 'slicewise[server]' brings that of PostgreSQL",
    ),
    (
        r"not in a valid JSON|not valid JSON|Expecting value|doctype html|<html",
        "a web page or another service, not MLflow",
        _ADDRESS,
    ),
    (
        r"unsupported URI|Unsupported|registered for|filesystem tracking backend|NoSuchModuleError"
        r"|Could not parse SQLAlchemy URL|Can't load plugin",
        "no address of a server or a database",
        _ADDRESS,
    ),
)


_SETTING = re.compile(r"Failed to convert (?P<value>.*?) for (?P<name>MLFLOW_\w+)")
"""What MLflow says of an environment variable of its own that is no number."""


class StoreError(OutputError):
    """The tracking store cannot be used: it does not open, does not answer, or refuses."""


def store_error(where: str, error: Exception) -> StoreError:
    """Why a store cannot be used.

    Args:
        where: address of the store, without a password.
        error: of MLflow, SQLAlchemy, SQLite, the network, or the operating system.
    """
    code = getattr(error, "error_code", "")
    if code in ("PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", "UNAUTHENTICATED"):
        return _store_error(where, f"refused: {plain(error)}", _ACCOUNT)
    if setting := _SETTING.search(_whole_text(error)):
        found = f"{setting['value']} in the environment variable {setting['name']}"
        return _store_error(where, found, "correct the variable to a number, or unset it")
    for pattern, found, remedy in _PROBLEMS:
        if re.search(pattern, _whole_text(error)):
            return _store_error(where, found, remedy.format(where=where))
    return _store_error(where, plain(error), _LATER)


def status_error(where: str, status: int, target: str = "") -> StoreError:
    """Why an answer of a server is none of MLflow.

    Args:
        where: address of the server, without a password.
        status: HTTP status of the answer.
        target: to which it redirects; empty if it does not.
    """
    if target:
        return _store_error(
            where, f"it redirects to {target}", f"set {SERVER_VARIABLE} to that address"
        )
    if status in (401, 403):
        what = "no account or a wrong password" if status == 401 else "not permitted"
        return _store_error(where, f"{what} (HTTP {status})", _ACCOUNT)
    if status >= 500:
        return _store_error(where, f"the server fails (HTTP {status})", _LATER)
    return _store_error(where, f"another service, not MLflow (HTTP {status})", _ADDRESS)


@contextmanager
def guarded(where: str) -> Iterator[None]:
    """Turn everything that a store cannot do into one error.

    Args:
        where: address of the store, without a password.

    Raises:
        StoreError: it cannot be used.
        MlflowException: it answers that something does not exist, exists already or is invalid.
        FileNotFoundError: a file of a run is gone.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (SlicewiseError, FileNotFoundError):
        raise
    except MlflowException as error:
        if error.error_code in _ANSWERS and not _is_of_database(error):
            raise
        raise store_error(where, error) from error
    # Of SQLAlchemy, Alembic, requests, drivers, and MLflow's reading of odd answers.
    except Exception as error:
        raise store_error(where, error) from error


def plain(error: Exception) -> str:
    """The first line of a message, without names of classes and links to web pages."""
    lines = str(error).splitlines() or [type(error).__name__]
    text = re.sub(r"^\(?[\w.]*(Error|Exception)\)?:? ?", "", lines[0]).strip()
    return (text or type(error).__name__)[:_LONGEST_TEXT]


def shown(uri: str) -> str:
    """An address without a password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _is_of_database(error: Exception) -> bool:
    """Whether a database has failed, whatever code MLflow gave to that."""
    # That a row exists already is an answer.
    return any(
        isinstance(cause, sqlite3.Error) and not isinstance(cause, sqlite3.IntegrityError)
        for cause in _chain(error)
    )


def _whole_text(error: Exception) -> str:
    return "\n".join(f"{type(cause).__name__}: {cause}" for cause in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes; SQLAlchemy keeps that of the driver in ``orig``."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is not None and cause not in seen:
            seen.append(cause)
            yield cause
            waiting += [cause.__context__, cause.__cause__, getattr(cause, "orig", None)]


def _store_error(where: str, found: str, remedy: str) -> StoreError:
    return StoreError(where, expected=USABLE, found=found, remedy=remedy)
