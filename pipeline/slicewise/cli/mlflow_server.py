"""``slicewise mlflow-server``: runs and models of a group, in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mlflow_server(
    settings: Annotated[
        Path,
        typer.Argument(metavar="SETTINGS", help="File of NAME=value; for its owner alone."),
    ],
) -> None:
    """Serve the runs and models of a group, until it is ended with Ctrl-C.

    Runs lie in a PostgreSQL database, files in a folder or an S3 store, which the server alone
    needs access to. configs/mlflow-server.env explains every setting. Requests that call the server
    by a name that is not in the settings, or that come from a foreign web page, are refused.

    Clients say where it is: MLFLOW_TRACKING_URI=http://HOST:PORT, with MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD where the server asks for accounts.

    Examples:
      install -m 600 configs/mlflow-server.env server.env

      slicewise mlflow-server server.env

      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 slicewise train configs/demo.yaml
    """
    import os

    from slicewise.cli.console import loading, note

    with loading():
        from slicewise.tracking.group_server import read_server, require_parts
    server = read_server(settings)
    require_parts(server)
    server.open()
    note(server.shown_places)
    if not server.has_accounts:
        note("no accounts: whoever reaches the address may read, write and delete")
    note(f"http://{server.host}:{server.port} (end with Ctrl-C)")
    command = server.command()
    os.execve(command[0], command, server.environment())
