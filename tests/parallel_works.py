"""Works for child processes, which import them by name."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from slicewise.errors import TrainingError
from slicewise.progress import Progress


def double(number: int, progress: Progress) -> int:
    """Twice a number."""
    with progress.task("doubling", 1) as task:
        progress.message(f"{number} is doubled")
        task.update(1, detail="done")
    return 2 * number


def double_or_die(number: int, progress: Progress) -> int:
    """Twice a number; 1 is an error of ours, 2 kills the process, 3 is unforeseen."""
    if number == 1:
        raise TrainingError("step 7", expected="a finite loss", found="nan", remedy="lower it")
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 3:
        raise ZeroDivisionError
    return double(number, progress)


def environment(name: str, progress: Progress) -> str:
    """A variable of the process."""
    del progress
    return os.environ[name]


def save_when_ended(path: Path, progress: Progress) -> None:
    """Wait for a signal, and write a file then."""
    try:
        progress.message("waiting")
        threading.Event().wait(60)
    finally:
        path.write_text("saved")
