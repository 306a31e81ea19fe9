"""What strikes a command at a random moment, and what the command may answer."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.chaos.arena import STORE, Arena, Call, locked


@dataclass
class Moment:
    """A call at the moment of the fault.

    Attributes:
        damaged: file that the fault has changed.
    """

    arena: Arena
    call: Call
    random: random.Random
    damaged: Path | None = None
    told: str = ""


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: in the table.
        strike: a context in which the fault lasts. It says in ``told`` what it did; nothing, where
            there was nothing to strike.
        codes: exit codes that the command may end with; -9 is SIGKILL.
        leaves_parts: whether temporary files may be left until the next start.
        needs_disk: whether it needs the right to mount.
        for_store: whether it strikes the tracking store.
        weight: how often it strikes, compared to the others.
    """

    name: str
    strike: Callable[[Moment], AbstractContextManager[None]]
    codes: frozenset[int] = frozenset({0, 1, 8})
    leaves_parts: bool = False
    needs_disk: bool = False
    for_store: bool = False
    weight: int = 2


@contextmanager
def kill(moment: Moment) -> Iterator[None]:
    """SIGKILL of the process; its children are left to end by themselves."""
    moment.call.process.kill()
    moment.told = "SIGKILL"
    yield


@contextmanager
def kill_child(moment: Moment) -> Iterator[None]:
    """SIGKILL of one of the children, such as a worker."""
    children = moment.call.children()
    if children:
        child = moment.random.choice(children)
        try:
            moment.told = f"SIGKILL of the child {' '.join(child.cmdline()[-2:])[:60]}"
            child.kill()
        except psutil.Error:
            moment.told = ""
    yield


def sends(number: signal.Signals) -> Callable[[Moment], AbstractContextManager[None]]:
    """A signal to the process alone, or to its group, as a terminal sends it."""

    @contextmanager
    def strike(moment: Moment) -> Iterator[None]:
        is_for_group = moment.random.random() < 0.5
        (os.killpg if is_for_group else os.kill)(moment.call.process.pid, number)
        moment.told = f"{number.name} to the {'group' if is_for_group else 'process'}"
        yield

    return strike


@contextmanager
def fill_disk(moment: Moment) -> Iterator[None]:
    """A file takes the disk but for some bytes, until the command has ended."""
    ballast = moment.arena.folder / "ballast"
    left = moment.random.choice((0, 4096, 16_384, 65_536, 300_000, 2_000_000))
    size = max(shutil.disk_usage(ballast.parent).free - left, 1)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    moment.told = f"{left} bytes left on the disk"
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def lock_store(moment: Moment) -> Iterator[None]:
    """Another process holds the database of the store, until the command has ended."""
    with ExitStack() as held:
        if (moment.arena.folder / STORE).is_file():
            held.enter_context(locked(moment.arena.folder / STORE))
            moment.told = "the database is locked"
        yield


@contextmanager
def forbid_store(moment: Moment) -> Iterator[None]:
    """The folder of the store becomes read-only, until the command has ended."""
    store = (moment.arena.folder / STORE).parent
    if not store.is_dir():
        yield
        return
    subprocess.run(["mount", "--bind", store, store], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
    moment.told = "the folder of the store is read-only"
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", store], check=True)


def damages(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Moment], _Context]:
    """A file of a run, of the slice cache or of the spool changes; it is restored at the end."""

    @contextmanager
    def strike(moment: Moment) -> Iterator[None]:
        folder = moment.arena.folder
        mine = [*folder.glob("model/**/*"), *folder.glob("work/**/*")]
        files = sorted(
            path
            for path in mine
            if path.is_file()
            and path.stat().st_size
            # A store that was damaged is for its administrator; locks are empty.
            and not path.is_relative_to(folder / "work/mlflow/artifacts")
            and not path.name.startswith("mlflow.db")
        )
        if not files:
            yield
            return
        # The run, the slice cache and the spool have the same chance, however many files they have.
        place = moment.random.choice(sorted({_place(path, folder) for path in files}))
        path = moment.random.choice([path for path in files if _place(path, folder) == place])
        before = path.read_bytes()
        after = change(before, moment.random)
        path.write_bytes(after)
        moment.damaged = path.relative_to(folder)
        moment.told = f"{moment.damaged} damaged"
        yield
        if path.is_file() and path.read_bytes() == after:
            path.write_bytes(before)

    return strike


def _place(path: Path, folder: Path) -> tuple[str, ...]:
    parts = path.relative_to(folder).parts[:-1]
    return (
        parts[:3] if parts[1:2] == ("mlflow",) else parts[:2] if parts[0] == "work" else parts[:1]
    )


def flip_bit(content: bytes, random: random.Random) -> bytes:
    """One bit is another one."""
    changed = bytearray(content)
    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def cut(content: bytes, random: random.Random) -> bytes:
    """The end is missing."""
    return content[: random.randrange(len(content))]


_Context = AbstractContextManager[None]


def _signal(number: signal.Signals) -> Fault:
    # A signal that comes after the work, or while Python starts, has its own effect.
    codes = frozenset({0, 128 + number, -number})
    return Fault(number.name, sends(number), codes)


FAULTS = (
    Fault("kill", kill, frozenset({-9, 0}), leaves_parts=True, weight=6),
    Fault("kill child", kill_child),
    _signal(signal.SIGINT),
    _signal(signal.SIGTERM),
    _signal(signal.SIGHUP),
    Fault("full disk", fill_disk, needs_disk=True, weight=4),
    Fault("locked store", lock_store, for_store=True, weight=4),
    Fault("read-only store", forbid_store, needs_disk=True, for_store=True),
    Fault("flipped bit", damages(flip_bit), frozenset({0, 1, 2, 8}), weight=4),
    Fault("cut file", damages(cut), frozenset({0, 1, 2, 8}), weight=2),
)
