"""The folder in which commands run: always the same path, on a small disk of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from tests.chaos.commands import BY_NAME, CONFIG, Command
from tests.small_experiment import write_scan

from slicewise.dataset.demo.dicom import write_dicom_series
from slicewise.imaging.volume import Volume

SECONDS_TO_END = 240.0
"""Longer than any undisturbed command takes, on a busy machine, too."""
SECONDS_FOR_CHILDREN = 15.0
NEVER_ENDED = 999
"""In place of an exit code."""
DISK = "256m"
_STOPPING = Path(__file__).with_name("stopping")
_SOURCES = Path(__file__).parents[2] / "pipeline"
STORE = "work/mlflow/mlflow.db"


@dataclass(frozen=True)
class Ended:
    """A call that has ended."""

    code: int
    stderr: str
    seconds: float
    seconds_after_fault: float = 0.0
    left_processes: tuple[str, ...] = ()


@dataclass
class Call:
    """A call of the command that runs, or is stopped before one of its changes."""

    process: subprocess.Popen[bytes]
    stderr_file: Path
    begun: float = field(default_factory=time.monotonic)

    def wait_for_change(self) -> bool:
        """Whether it was stopped before the change; if not, it has ended."""
        found = os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return found is not None and found.si_code == os.CLD_STOPPED

    def children(self) -> list[psutil.Process]:
        """Every process that it has started and that still runs."""
        return [process for process in self._session() if process.pid != self.process.pid]

    def end(self) -> Ended:
        """Let it go on to its end, and end what it leaves."""
        fault_at = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        try:
            code = self.process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            code = NEVER_ENDED
        now = time.monotonic()
        while (left := self._session()) and time.monotonic() - now < SECONDS_FOR_CHILDREN:
            time.sleep(0.1)
        self.kill()
        stderr = self.stderr_file.read_text(errors="replace")
        names = tuple(str(process) for process in left)
        return Ended(code, stderr, now - self.begun, now - fault_at, names)

    def kill(self) -> None:
        """End everything that still runs."""
        for process in self._session():
            process.kill()
        self.process.wait()

    def _session(self) -> list[psutil.Process]:
        """They, and itself."""
        found = []
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.Error):
                if os.getsid(process.pid) == self.process.pid and process.status() != "zombie":
                    found.append(process)
        return found


class Arena:
    """Runs commands in a folder that is set to a state before.

    Args:
        root: takes the folder, copies of its states and what is kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "arena"
        self.folder.mkdir(parents=True)
        self._call: Call | None = None
        self.changes_file = root / "changes.txt"
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", str(self.folder)]
        self.has_own_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def close(self) -> None:
        """End what still runs, and give the disk back."""
        if self._call is not None:
            self._call.kill()
        if self.has_own_disk:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def start(self, arguments: str, stop_at: int = 0) -> Call:
        """Start a command, which stops itself before its change of that number."""
        places = {"XDG_STATE_HOME": "state", "TMPDIR": "tmp", "HOME": "home"}
        for name in places.values():
            (self.root / name).mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")} | {
            "PYTHONPATH": f"{_STOPPING}{os.pathsep}{_SOURCES}",
            "CHAOS_STOP_AT": str(stop_at),
            "CHAOS_CHANGES": str(self.changes_file),
            "OMP_NUM_THREADS": "1",
            **{variable: str(self.root / name) for variable, name in places.items()},
        }
        stderr_file = self.root / "stderr.txt"
        with stderr_file.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "slicewise", *arguments.split(), "--work", "work"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                preexec_fn=_answer_signals,
            )
        self._call = Call(process, stderr_file)
        return self._call

    def run(self, arguments: str) -> Ended:
        """Run a command to its end."""
        return self.start(arguments).end()

    def changes(self) -> list[str]:
        """What the last command has changed below the folder."""
        return self.changes_file.read_text().splitlines()

    def set_to(self, state: str) -> None:
        """Put the folder into a state."""
        source = self._state(state)
        self._clear()
        shutil.copytree(source, self.folder, dirs_exist_ok=True)

    def keep(self, name: str) -> Path:
        """A copy of the folder, with the files of its last call."""
        place = self.root / "kept" / name
        shutil.copytree(self.folder, place / "folder")
        for extra in ("state", "changes.txt"):
            source = self.root / extra
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, place / extra)
        return place

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.root / "state", ignore_errors=True)

    def undisturbed(self, command: Command) -> Ended:
        """Run a command in its state; it must succeed, and the folder is a state from then on."""
        self.set_to(command.start)
        done = self.run(command.arguments)
        assert done.code == 0, f"{command.name} fails undisturbed:\n{done.stderr}"
        if not (place := self._place_of(f"after {command.name}")).exists():
            shutil.copytree(self.folder, place)
        return done

    def _place_of(self, state: str) -> Path:
        return self.root / "states" / state

    def _state(self, name: str) -> Path:
        """A copy of the folder in that state; what leads to it is done where it is needed."""
        place = self._place_of(name)
        if place.exists():
            return place
        if name.startswith("after "):
            self.undisturbed(BY_NAME[name.removeprefix("after ")])
            return place
        if name == "scans":
            self._clear()
            write_inputs(self.folder)
        elif name == "interrupted":
            self._interrupt_training()
        else:
            assert name == "waiting", name
            self._spool_training()
        shutil.copytree(self.folder, place)
        return place

    def _spool_training(self) -> None:
        """A training waits for a store that is locked."""
        train = BY_NAME["train"]
        self.set_to(train.start)
        assert self.run("runs list").code == 0
        with locked(self.folder / STORE):
            ended = self.run(train.arguments)
        assert ended.code == 0, ended.stderr

    def _interrupt_training(self) -> None:
        """A signal ends a training after its first checkpoint."""
        train = BY_NAME["train"]
        self.undisturbed(train)
        saved = [n for n, change in enumerate(self.changes(), 1) if ".pt" in change]
        self.set_to(train.start)
        call = self.start(train.arguments, stop_at=saved[len(saved) // 3])
        assert call.wait_for_change()
        call.process.send_signal(signal.SIGTERM)
        ended = call.end()
        assert ended.code == 128 + signal.SIGTERM, ended.stderr


def _answer_signals() -> None:
    """Signals that are ignored, as in the background of a shell, would stay so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def write_inputs(folder: Path) -> None:
    """Six scans with labels, two DICOM series, and a configuration."""
    for number in range(6):
        write_scan(folder / "scans", f"case{number}", number)
    for number in range(2):
        voxels = np.random.default_rng(number).integers(0, 900, (19, 17, 6)).astype(np.uint16)
        affine = np.diag([-1.5, -1.2, 4.0, 1.0])
        affine[:3, 3] = (10 * number, 5, -8)
        write_dicom_series(Volume(voxels, affine), folder / "dicom" / str(number), f"S-{number}")
    (folder / "tiny.yaml").write_text(CONFIG)
    # Pseudonyms, which name files, are the same in every run.
    key = folder / "work/private/pseudonym.key"
    key.parent.mkdir(parents=True)
    key.touch(0o600)
    secret = bytes(range(32))
    key.write_text(f"{secret.hex()} {hashlib.sha256(secret).hexdigest()[:16]}\n")


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Nobody else can read or write an SQLite database."""
    connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.rollback()
        connection.close()
