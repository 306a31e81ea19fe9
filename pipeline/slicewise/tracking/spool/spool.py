"""The journal of a run on disk, kept in order until the tracking store has all of it.

A spool is a private folder ``mlflow/spool/ID`` of the work folder. ``about.json`` names its store
and the process that writes it, ``entries.jsonl`` has one entry per line, ``files`` the files that
entries refer to, and ``delivered.json`` the number of bytes of ``entries.jsonl`` that the store
has. Every line has its checksum, and so do the names of kept files: what was damaged is left out,
which a tag of the run tells. A run has one spool at a time: one that is continued goes on in the
spool that still waits.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from slicewise.errors import OutputError, file_problem
from slicewise.imaging.files import private_folder, sha256_of, write_text
from slicewise.interruption import uninterrupted
from slicewise.tracking.processes import is_running, own_start
from slicewise.tracking.spool.run_ids import checked, known_id, parsed, read_record
from slicewise.tracking.store import Store

Entry = Mapping[str, Any]
DAMAGED = "damaged"
"""Kind of an entry that cannot be read."""
_ABOUT, _ENTRIES, _DELIVERED, _FILES = "about.json", "entries.jsonl", "delivered.json", "files"
_LOCAL = "the store of the work folder"
_OWNED = {"store", "begun", "host", "process", "started"}
_DIGITS = 16
_log = logging.getLogger(__name__)


class Spool:
    """The journal of one run.

    Args:
        folder: of the spool; its name identifies the run until the store has assigned an id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = FileLock(f"{folder}.lock")
        """Held by who delivers, perhaps for minutes."""
        self._ownership = FileLock(f"{folder}.owner.lock")
        self._writing = threading.Lock()

    @classmethod
    def begin(cls, store: Store) -> Self:
        """Create an empty spool for a store.

        Raises:
            OutputError: the work folder cannot be written.
        """
        spool = cls(private_folder(private_folder(store.folder / "spool") / uuid.uuid4().hex))
        spool._write_about({"store": _name(store), "begun": time.time()})
        return spool

    def continue_run(self, run_id: str, **content: Any) -> bool:
        """Let this process add to the spool, which an earlier one left.

        Args:
            run_id: of the run that goes on.
            content: of the entry that says so.

        Returns:
            Whether the spool was still there.

        Raises:
            OutputError: the folder cannot be written.
        """
        with self._ownership:
            if not (self.folder / _ABOUT).is_file():
                return False
            self._write_about(self._about)
            self._cut_partial_line()
            self.append("continue", run_id=run_id, **content)
            return True

    def end_abandoned(self, tags: Mapping[str, str], stamp: int) -> None:
        """Write the end that a killed process could not write.

        Args:
            tags: of the run.
            stamp: time of its end, in milliseconds since 1970.
        """
        with self._ownership:
            self._cut_partial_line()
            self.append("tags", values=dict(tags))
            self.append("end", status="KILLED", time=stamp)

    def _write_about(self, known: Mapping[str, Any]) -> None:
        owner = {"host": socket.gethostname(), "process": os.getpid(), "started": own_start()}
        write_text(self.folder / _ABOUT, checked({**known, **owner}), private=True)

    def _cut_partial_line(self) -> None:
        """Cut off a line that a killed process began; the next one would be appended to it."""
        path = self.folder / _ENTRIES
        if path.is_file():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)

    @property
    def spool_id(self) -> str:
        """32 hexadecimal digits."""
        return self.folder.name

    def is_for(self, store: Store) -> bool:
        """Whether the entries are to go to this store."""
        return self.store_name == _name(store)

    @property
    def store_name(self) -> str:
        """The store that the entries are to go to."""
        return str(self._about["store"])

    @property
    def begun(self) -> float:
        """When it was created, in seconds since 1970."""
        return float(self._about["begun"])

    @property
    def last_written(self) -> float:
        """When the last entry was added, in seconds since 1970; a run adds one every minute."""
        path = self.folder / _ENTRIES
        return path.stat().st_mtime if path.is_file() else self.begun

    def owner_may_run(self, silent_seconds: float) -> bool:
        """Whether the process that writes it may still be running, so that entries may follow.

        Args:
            silent_seconds: time without an entry after which one of another host has ended.
        """
        about = self._about
        if about["host"] == socket.gethostname():
            return is_running(int(about["process"]), float(about["started"]))
        return time.time() - self.last_written <= silent_seconds

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended, and was not continued."""
        kinds = [entry["kind"] for entry, _ in self._entries(0)]
        return [kind for kind in kinds if kind in ("create", "continue", "end")][-1:] == ["end"]

    @property
    def first_entry(self) -> Entry:
        """The entry that starts the run; empty before it is written."""
        return next((entry for entry, _ in self._entries(0)), {})

    @property
    def run_ids(self) -> set[str]:
        """The ids by which its run is known: its own, and that of a run which it continues."""
        continued = {e["run_id"] for e, _ in self._entries(0) if e["kind"] == "continue"}
        return {self.spool_id, *continued}

    @property
    def _about(self) -> Mapping[str, Any]:
        return read_record(self.folder / _ABOUT)

    def append(self, kind: str, **content: Any) -> None:
        """Add an entry with content that JSON can hold.

        Raises:
            OutputError: the folder cannot be written.
        """
        line = checked({"kind": kind, **content}).encode()
        path = self.folder / _ENTRIES
        try:
            with uninterrupted(), self._writing:
                _append_whole(path, line)
        except OSError as error:
            raise _unwritable(self.folder, len(line), error) from error

    def keep(self, path: Path) -> str:
        """Keep a file or a folder in its present state; returns its name for an entry.

        Raises:
            OutputError: it cannot be read, or the folder cannot be written.
        """
        place = self.folder
        try:
            name = f"{_digest_of(path)}-{uuid.uuid4().hex[:8]}/{path.name}"
            place = self.file(name)
            place.parent.mkdir(parents=True)
            if path.is_dir():
                shutil.copytree(path, place, copy_function=_link)
            else:
                _link(str(path), str(place))
        except OSError as error:
            size = sum(item.stat().st_size for item in [path, *path.rglob("*")] if item.is_file())
            if place != self.folder:
                shutil.rmtree(place.parent, ignore_errors=True)
            raise _unwritable(self.folder, size, error) from error
        return name

    def file(self, name: str) -> Path:
        """Path of a kept file."""
        return self.folder / _FILES / name

    def is_whole(self, name: str) -> bool:
        """Whether a kept file is there, as it was when it was kept."""
        path = self.file(name)
        return path.exists() and name.startswith(f"{_digest_of(path)}-")

    def waiting(self) -> Iterator[tuple[Entry, int]]:
        """Entries that the store does not have, each with its end in bytes.

        A line that a crash has cut off is left out; a damaged one is an entry of kind ``DAMAGED``.
        """
        return self._entries(self._delivered())

    def is_delivered(self) -> bool:
        """Whether the store has every entry."""
        return next(self.waiting(), None) is None

    def mark_delivered(self, end: int, sampled: int) -> None:
        """Record that the store has all entries up to a byte.

        Args:
            end: that byte.
            sampled: number of samples of the system that the run had before it was continued.
        """
        text = checked({"bytes": end, "sampled": sampled})
        write_text(self.folder / _DELIVERED, text, private=True)

    @property
    def sampled(self) -> int:
        """Number of samples of the system that the run had before it was continued."""
        return int(read_record(self.folder / _DELIVERED).get("sampled", 0))

    @property
    def was_continued(self) -> bool:
        """Whether entries of a continued run have been delivered."""
        end = self._delivered()
        return any(e["kind"] == "continue" for e, until in self._entries(0) if until <= end)

    def remove_if(self, is_done: Callable[[], bool]) -> None:
        """Delete the spool, unless it is not done or a process continues it at this moment."""
        with self._ownership:
            if not is_done():
                return
            # The record goes first: without it, the rest of the folder is no spool.
            (self.folder / _ABOUT).unlink(missing_ok=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        for lock in (self.lock, self._ownership):
            Path(lock.lock_file).unlink(missing_ok=True)

    def _entries(self, start: int) -> Iterator[tuple[Entry, int]]:
        path = self.folder / _ENTRIES
        if not path.is_file():
            return
        end = start
        with path.open("rb") as file:
            file.seek(start)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                end += len(line)
                entry = parsed(line)
                if "kind" in entry:
                    yield entry, end
                else:
                    _log.warning("%s: line left out, as it is damaged: byte %d", path, end)
                    yield {"kind": DAMAGED}, end

    def _delivered(self) -> int:
        # Without it, everything is delivered again, which does no harm.
        return int(read_record(self.folder / _DELIVERED).get("bytes", 0))


def spools(store: Store) -> list[Spool]:
    """All spools of a work folder, oldest first, so that parent runs precede their children."""
    found = []
    for path in (store.folder / "spool").glob(f"*/{_ABOUT}"):
        if read_record(path).keys() >= _OWNED:
            found.append(Spool(path.parent))
        else:
            _log.warning("%s is damaged; its run is not delivered", path)
    return sorted(found, key=lambda spool: spool.begun)


def waiting_spool(store: Store, run_id: str) -> Spool | None:
    """The spool of a run that is not delivered yet, or that its process left open."""
    wanted = known_id(store, run_id)
    for spool in spools(store):
        if spool.is_for(store) and wanted in {known_id(store, name) for name in spool.run_ids}:
            return spool
    return None


def _name(store: Store) -> str:
    # Without its path: the work folder may be moved.
    return _LOCAL if store.is_local else store.shown_uri


def _digest_of(path: Path) -> str:
    return sha256_of(path)[:_DIGITS]


def _link(source: str, target: str) -> None:
    """Link a file, or copy it: a link keeps the content when the file is replaced."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _append_whole(path: Path, line: bytes) -> None:
    """Append a line or nothing: part of it would spoil the next one."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(line) < len(line):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _unwritable(folder: Path, size: int, error: OSError) -> OutputError:
    return OutputError(
        folder,
        expected=f"{size:,} bytes for the journal of the run",
        found=file_problem(error),
        remedy="free space, or use another work folder",
    )
