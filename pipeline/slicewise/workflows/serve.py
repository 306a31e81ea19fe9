"""Serves a model over HTTP."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from slicewise.errors import UsageError
from slicewise.progress import SILENT, Progress
from slicewise.tracking.run_index import find_model
from slicewise.tracking.serving.memory import give_memory_back
from slicewise.tracking.serving.request_limits import LOOPBACK, Limits, RequestLimiter
from slicewise.tracking.serving.service import build_service
from slicewise.workflows.ports import SERVE_PORT, listen


@dataclass(frozen=True)
class ServeOptions:
    """Which model to serve, where, and within which limits.

    Attributes:
        model: a folder or checkpoint of a training, a run id or a ``models:/`` address.
        host: address to listen at.
        port: port to listen at.
        names: further host names under which clients may call the service.
        max_megabytes: largest request, in 10^6 bytes.
        timeout_seconds: longest wait for an answer.
        at_once: concurrent predictions; further requests queue.
        allow_paths: requests may name scans below this folder by path; None permits none.
        work: whose store is asked.
    """

    model: str
    host: str = "127.0.0.1"
    port: int = SERVE_PORT
    names: tuple[str, ...] = ()
    max_megabytes: float = 64
    timeout_seconds: float = 120
    at_once: int = 2
    allow_paths: Path | None = None
    work: Path = Path("work")


@dataclass(frozen=True)
class Service:
    """A model that is ready to be served.

    Attributes:
        url: of the service.
        application: answers requests.
        listening: socket of the service; clients can connect already.
    """

    url: str
    application: RequestLimiter
    listening: socket.socket

    def run(self) -> None:
        """Answer requests until a signal stops it; running requests are finished."""
        config = uvicorn.Config(self.application, log_level="warning", lifespan="off")
        uvicorn.Server(config).run(sockets=[self.listening])


def serve(options: ServeOptions, progress: Progress = SILENT) -> Service:
    """Load a model and listen for requests; ``Service.run`` answers them.

    Raises:
        UsageError: no such folder of permitted paths, a host name with a wildcard, or a port that
            is taken.
        ModelError, CheckpointError: no such model, or a damaged one.
    """
    if options.allow_paths is not None and not options.allow_paths.is_dir():
        raise UsageError(
            f"`allow_paths` {options.allow_paths}",
            expected="a folder of scans",
            found="no such folder",
            remedy="correct the path",
        )
    limits = Limits(
        options.max_megabytes,
        options.timeout_seconds,
        options.at_once,
        LOOPBACK | {options.host, *options.names},
    )
    # Before the model is loaded, which takes seconds.
    listening = listen(options.host, options.port)
    try:
        give_memory_back()
        files = find_model(options.model, options.work)
        application = build_service(files, limits, options.allow_paths)
    except BaseException:
        listening.close()
        raise
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{options.port}"
    progress.message(f"serving {options.model} at {url}")
    return Service(url, application, listening)
