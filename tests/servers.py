"""Real servers on loopback, for tests that shall see what a user sees."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

_PATIENCE_SECONDS = 240
START = "import sys; from slicewise.cli.main import main; sys.argv[0] = 'slicewise'; main()"


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; fail with its log when it ends or takes too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            # Not there yet, or busy with starting.
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@contextmanager
def served(
    model: Path, work: Path, folder: Path, *options: str | Path
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve a model; yields the address and the process.

    Args:
        model: that is served.
        work: the work folder.
        folder: takes ``serve.log``.
        options: of ``slicewise serve``.
    """
    port = free_port()
    arguments = ["serve", str(model), "--port", str(port), "--work", str(work)]
    log = folder / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *arguments, *map(str, options)],
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(url, process, log)
        yield url, process
    finally:
        process.kill()
        process.wait()


class MlflowServer:
    """A tracking server with its database and artifacts in one folder; can be killed and started.

    Args:
        folder: takes database, artifacts and log.
        database: address of another database; None takes SQLite.
    """

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder = folder
        self.database = database or f"sqlite:///{folder / 'server.db'}"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port)]
        command += ["--host", "127.0.0.1", "--backend-store-uri", self.database]
        command += ["--artifacts-destination", (self.folder / "artifacts").as_uri()]
        command += ["--workers", "1"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
                start_new_session=True,
            )
        wait_until_healthy(self.url, self._process, self.folder / "server.log")

    def kill(self) -> None:
        """End it with all of its workers, as a power cut does."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
