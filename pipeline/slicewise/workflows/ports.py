"""Default ports, and sockets on ports that are free.

A group's tracking server has MLflow's default, 5000, so that all of them can run together.
"""

from __future__ import annotations

import errno
import os
import socket

from slicewise.errors import UsageError, file_problem

SERVE_PORT = 5001
"""Of a served model."""
MLFLOW_UI_PORT = 5002
"""Of MLflow's web interface for the store of a work folder."""
_LARGEST_PORT = 65535


def listen(host: str, port: int, setting: str = "`port`") -> socket.socket:
    """A socket that listens at an address.

    Args:
        host: name or IP address of this machine.
        port: of the address.
        setting: what chooses another port; named in the error.

    Raises:
        UsageError: the port is taken or not permitted, or the host is not this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port <= _LARGEST_PORT:
        raise _not_free(host, port, f"not a number from 0 to {_LARGEST_PORT}", setting)
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        # Negative ones are those of the resolution of names.
        if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:
            raise UsageError(
                f"address {host}:{port}",
                expected="an address of this machine, such as 127.0.0.1",
                found="one of another machine, or of none",
                remedy="choose another `host`",
            ) from error
        # Python adds to the text of the system which address it was.
        found = os.strerror(error.errno) if error.errno else file_problem(error)
        raise _not_free(host, port, found, setting) from error


def require_free_port(host: str, port: int, setting: str = "`port`") -> None:
    """Refuse an address at which no server can listen; see ``listen``.

    Raises:
        UsageError: as ``listen``.
    """
    listen(host, port, setting).close()


def _not_free(host: str, port: int, found: str, setting: str) -> UsageError:
    return UsageError(
        f"address {host}:{port}",
        expected="a free port of this machine",
        found=found,
        remedy=f"choose another port with {setting}, or stop the server that uses this one",
    )
