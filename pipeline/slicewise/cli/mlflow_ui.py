"""``slicewise mlflow``: the web page of runs and models."""

from __future__ import annotations

from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work


def mlflow(
    work: Work = DEFAULT_WORK,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = 5000,
) -> None:
    """Open the web page of the tracked runs and registered models.

    Example:
      slicewise mlflow --port 5001
    """
    import os

    from slicewise.cli.console import note
    from slicewise.tracking.store import mlflow_ui_command, open_store

    command = mlflow_ui_command(open_store(work), port=port)
    note(f"http://127.0.0.1:{port} (end with Ctrl-C)")
    os.execv(command[0], command)
