"""The last net of the command: an unforeseen error leaves its traceback in a private file."""

from __future__ import annotations

import os
import platform
import shlex
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from slicewise import __version__
from slicewise.errors import SlicewiseError


def describe_crash(error: BaseException) -> SlicewiseError:
    """Write the traceback of an error that no room has foreseen, and say where it lies.

    The file may name scans, so that it is for its owner alone (mode 0600).

    Args:
        error: that reached the command.

    Returns:
        The error for the user.
    """
    path = _write(_text(error))
    if isinstance(error, MemoryError):
        found = "not enough memory"
        remedy = "close other programs, lower `workers`, or use a machine with more memory"
    else:
        found = "an error that Slicewise did not foresee"
        remedy = "run the command again; if that ends in the same way, report it to the maintainers"
    if path is None:
        where = "slicewise"
        remedy += "; its technical details could not be saved: no folder can be written"
    else:
        where = str(path)
        remedy += " with this file. It holds the technical details and may name scans: read it "
        remedy += "before you share it"
    return SlicewiseError(
        where, expected="a command that ends by itself", found=found, remedy=remedy
    )


def _text(error: BaseException) -> str:
    lines = [
        f"slicewise {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {shlex.join(sys.argv)}",
        f"folder: {Path.cwd()}",
        "",
        *traceback.format_exception(error),
    ]
    return "\n".join(lines[:4]) + "\n" + "".join(lines[4:])


def _write(text: str) -> Path | None:
    """The new file; None where neither the folder of the user nor the temporary one is writable."""
    prefix = f"slicewise-error-{datetime.now(UTC):%Y%m%d-%H%M%S}-"
    for folder in (_state_folder(), None):
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # mkstemp creates files that only their owner can read.
            handle, name = tempfile.mkstemp(prefix=prefix, suffix=".txt", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except (OSError, RuntimeError):
            # A full disk, a home folder that is read-only or that does not exist.
            continue
        return Path(name)
    return None


def _state_folder() -> Path:
    """Where programs keep their logs, by the XDG Base Directory Specification."""
    stated = os.environ.get("XDG_STATE_HOME", "")
    state = Path(stated) if Path(stated).is_absolute() else Path.home() / ".local" / "state"
    return state / "slicewise"
