"""``slicewise mlflow-server``: runs and models of a group, in PostgreSQL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mlflow_server(
    settings: Annotated[
        Path,
        typer.Argument(metavar="SETTINGS", help="File of NAME=value lines, mode 600."),
    ],
) -> None:
    """Serve the runs and models of a group until it is stopped with Ctrl-C.

    Runs are stored in PostgreSQL, and files in a folder or an S3-compatible
    store; only the server needs access to them. configs/mlflow-server.env
    explains every setting. Requests for a host name that is not in the settings,
    or from a foreign web page, are refused.

    Clients set MLFLOW_TRACKING_URI=http://HOST:PORT, and MLFLOW_TRACKING_USERNAME
    and MLFLOW_TRACKING_PASSWORD where the server asks for accounts.

    Examples:
      install -m 600 configs/mlflow-server.env server.env

      slicewise mlflow-server server.env

      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 slicewise train mine.yaml
    """
    from slicewise.cli.console import PROGRESS, loading, note

    with loading():
        from slicewise.workflows.mlflow_servers import MlflowServerOptions
        from slicewise.workflows.mlflow_servers import mlflow_server as prepare_server
    server = prepare_server(MlflowServerOptions(settings), PROGRESS)
    note(f"{server.url} (stop it with Ctrl-C)")
    server.run()
