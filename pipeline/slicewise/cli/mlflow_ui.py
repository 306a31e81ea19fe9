"""``slicewise mlflow``: the web interface of runs and models."""

from __future__ import annotations

from typing import Annotated

import typer

from slicewise.cli.options import DEFAULT_WORK, Work
from slicewise.workflows.ports import MLFLOW_UI_PORT


def mlflow(
    work: Work = DEFAULT_WORK,
    port: Annotated[int, typer.Option("--port", help="Port on this machine.")] = MLFLOW_UI_PORT,
) -> None:
    """Serve MLflow's web interface for tracked runs and registered models.

    Example:
      slicewise mlflow --port 5010
    """
    from slicewise.cli.console import loading, note

    with loading():
        from slicewise.workflows.mlflow_servers import MlflowUiOptions, mlflow_ui
    server = mlflow_ui(MlflowUiOptions(work, port))
    note(f"{server.url} (stop it with Ctrl-C)")
    server.run()
