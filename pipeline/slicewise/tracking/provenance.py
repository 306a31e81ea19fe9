"""The running program in, tags out that say which code, where and in which process."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
from pathlib import Path

import slicewise
from slicewise.tracking.processes import own_start

HOST_TAG = "slicewise.host"
PROCESS_TAG = "slicewise.process"
STARTED_TAG = "slicewise.process_started"
"""Seconds since 1970: the id of a process may be given to a later one."""
_CHECKOUT = Path(slicewise.__file__).resolve().parents[2]


def provenance_tags() -> dict[str, str]:
    """Version of the code, and the host and process that a later look can ask about."""
    return {
        "slicewise.version": slicewise.__version__,
        "slicewise.python": platform.python_version(),
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: str(os.getpid()),
        STARTED_TAG: f"{own_start():.3f}",
        **_commit_tags(),
    }


def _commit_tags() -> dict[str, str]:
    # An installed copy may lie inside somebody else's checkout, whose commit says nothing.
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != _CHECKOUT:
        return {}
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {}
    changed = _git("status", "--porcelain")
    return {
        "mlflow.source.git.commit": commit,
        "slicewise.uncommitted_changes": "unknown" if changed is None else str(bool(changed)),
    }


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(_CHECKOUT), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
