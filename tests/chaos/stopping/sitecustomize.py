"""Stops a command before one of its changes to files, so that a fault can strike there.

Python imports this module when it starts, where its folder is in ``PYTHONPATH``. Every file or
folder that the process opens for writing, renames or removes below its working directory is a
line of the file that ``CHAOS_CHANGES`` names; before the change that ``CHAOS_STOP_AT`` counts,
the process stops as by Ctrl-Z.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from typing import Any

STOP_AT = int(os.environ.pop("CHAOS_STOP_AT", "0"))
CHANGES = os.environ.pop("CHAOS_CHANGES", "")
FOLDER = os.getcwd()  # noqa: PTH109 pathlib would slow every start
PROCESS = os.getpid()
WRITES = os.O_WRONLY | os.O_RDWR
NAMES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.connect")


def main() -> None:
    descriptor = os.open(CHANGES, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
    numbers = count(1)

    def watch(name: str, facts: tuple[Any, ...]) -> None:
        if name == "open":
            if not isinstance(facts[2], int) or not facts[2] & WRITES:
                return
        elif name not in NAMES:
            return
        path = os.fsdecode(facts[0]) if isinstance(facts[0], str | bytes | os.PathLike) else ""
        path = os.path.abspath(path)  # noqa: PTH100 links stay links
        if os.getpid() != PROCESS or not path.startswith(FOLDER):
            return
        number = next(numbers)
        os.write(descriptor, f"{name} {os.path.relpath(path, FOLDER)}\n".encode())
        if number == STOP_AT:
            os.kill(PROCESS, signal.SIGSTOP)

    sys.addaudithook(watch)


if CHANGES:
    main()
