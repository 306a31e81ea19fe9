"""Tags of a run that record its code version, host and process."""

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
"""Start of the process in seconds since 1970, as process ids are reused."""
_CHECKOUT = Path(slicewise.__file__).resolve().parents[2]


def provenance_tags() -> dict[str, str]:
    """Tags with the version of the code, the host and the process."""
    return {
        "slicewise.version": slicewise.__version__,
        "slicewise.python": platform.python_version(),
        HOST_TAG: socket.gethostname(),
        PROCESS_TAG: str(os.getpid()),
        STARTED_TAG: f"{own_start():.3f}",
        **_commit_tags(),
    }


def _commit_tags() -> dict[str, str]:
    # An installed copy may lie inside another project's checkout, whose commit means nothing here.
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
