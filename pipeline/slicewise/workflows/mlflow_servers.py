"""Prepares MLflow's own servers: the web interface of a work folder, the server of a group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slicewise.progress import SILENT, Progress
from slicewise.tracking.group_server import PORT_SETTING, read_server, require_parts
from slicewise.tracking.store import mlflow_ui_command, open_store
from slicewise.workflows.ports import MLFLOW_UI_PORT, require_free_port

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class ServerCommand:
    """A server that can be started.

    Attributes:
        command: program and arguments.
        environment: variables of the process; they may hold passwords.
        url: at which the server will answer.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    url: str

    def run(self) -> None:
        """Replace the present process by the server."""
        os.execve(self.command[0], list(self.command), dict(self.environment))


@dataclass(frozen=True)
class MlflowUiOptions:
    """Which store to show.

    Attributes:
        work: work folder of the store.
        port: port to listen at, on this machine only.
    """

    work: Path = Path("work")
    port: int = MLFLOW_UI_PORT


def mlflow_ui(options: MlflowUiOptions) -> ServerCommand:
    """Prepare MLflow's web interface for the runs and models of a work folder.

    Raises:
        UsageError: the store is a server, which has its own web interface, or the port is taken.
        OutputError: the store does not open.
    """
    command = mlflow_ui_command(open_store(options.work), options.port)
    require_free_port(_LOOPBACK, options.port)
    return ServerCommand(tuple(command), dict(os.environ), f"http://{_LOOPBACK}:{options.port}")


@dataclass(frozen=True)
class MlflowServerOptions:
    """Which server to prepare.

    Attributes:
        settings_file: ``NAME=value`` lines; ``configs/mlflow-server.env`` explains each.
    """

    settings_file: Path


def mlflow_server(options: MlflowServerOptions, progress: Progress = SILENT) -> ServerCommand:
    """Prepare the tracking server of a group.

    Args:
        options: which server.
        progress: receives where runs and files are kept, and a warning about missing accounts.

    Raises:
        UsageError: a mistake in the settings, or the port is taken.
        OutputError: the database does not open, or a package is missing.
    """
    server = read_server(options.settings_file)
    require_parts(server)
    server.open()
    require_free_port(server.host, server.port, f"{PORT_SETTING} in {options.settings_file}")
    progress.message(server.shown_places)
    if not server.has_accounts:
        progress.message("no accounts: everyone who can reach the address may read and delete runs")
    url = f"http://{server.host}:{server.port}"
    return ServerCommand(tuple(server.command()), server.environment(), url)
