"""Holds a folder for one process at a time, and says who holds it."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from slicewise.errors import OutputError, file_problem

LOCK = ".slicewise.lock"


@contextmanager
def sole_user(folder: Path, name: str = LOCK, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold a folder for one process; it is made where there is none.

    Args:
        folder: that is held.
        name: of the lock; another one holds a part of the folder.
        wait_seconds: for another process that is about to end.

    Raises:
        OutputError: another process writes there, or it cannot be made.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait_seconds)
        lock.acquire()
    except Timeout:
        raise OutputError(
            folder,
            expected="a folder that no other process writes to",
            found=_holder(path),
            remedy="wait for it to end, or choose another `out`",
        ) from None
    except OSError as error:
        raise OutputError(
            folder,
            expected="a folder that can be written",
            found=file_problem(error),
            remedy="choose another `out` or correct its permissions",
        ) from None
    try:
        _sign(path)
        yield
    finally:
        # Host and process are nobody's business once the folder is handed on.
        with suppress(OSError):
            os.truncate(path, 0)
        lock.release()


def require_unheld(folder: Path) -> None:
    """Refuse a folder that a process holds, before the work on what goes there.

    Raises:
        OutputError: see ``sole_user``.
    """
    if (folder / LOCK).exists():
        with sole_user(folder):
            pass


def _sign(path: Path) -> None:
    is_command = Path(sys.argv[0]).name in ("slicewise", "__main__.py")
    content = {
        "command": " ".join(("slicewise", *sys.argv[1:2])) if is_command else "Python",
        "process": os.getpid(),
        "host": platform.node(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    # In place: renaming another file here would leave the lock on a file without a name.
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _holder(path: Path) -> str:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return (
            f"process {known['process']} on {known['host']} holds it since {known['since']}: "
            f"{known['command']}"
        )
    except (OSError, ValueError, LookupError, TypeError):
        return "another process holds its lock"
