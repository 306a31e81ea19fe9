"""A model as a user names it in, a running service out."""

from __future__ import annotations

import socket
from pathlib import Path

import uvicorn

from slicewise.errors import UsageError, file_problem
from slicewise.tracking.run_index import find_model
from slicewise.tracking.serving.request_limits import Limits, RequestLimiter
from slicewise.tracking.serving.service import build_service


def served(model: str, limits: Limits, allow_paths: Path | None, work: Path) -> RequestLimiter:
    """The application for a model.

    Raises:
        UsageError: a folder of permitted paths that does not exist.
        ModelError, CheckpointError: no model, or a damaged one.
    """
    if allow_paths is not None and not allow_paths.is_dir():
        raise UsageError(
            f"--allow-paths {allow_paths}",
            expected="a folder of scans",
            found="no such folder",
            remedy="correct the path",
        )
    return build_service(find_model(model, work), limits, allow_paths)


def run_service(service: RequestLimiter, host: str, port: int) -> None:
    """Answer until a signal ends it; requests that have begun are answered.

    Raises:
        UsageError: the address cannot be had.
    """
    try:
        listening = socket.create_server((host, port), family=_family(host))
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}",
            expected="an address of this machine that is free",
            found=file_problem(error),
            remedy="choose another port, or end what listens there",
        ) from error
    config = uvicorn.Config(service, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listening])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
