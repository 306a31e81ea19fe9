"""The journal of a run on disk, kept in order until the tracking store has all of it.

A spool is a private folder ``mlflow/spool/ID`` of the work folder. ``about.json`` names its store
and the process that writes it, ``entries.jsonl`` has one entry per line, ``files`` the files that
entries refer to, and ``delivered`` the number of bytes of ``entries.jsonl`` that the store has.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

from slicewise.errors import ModelError, OutputError, file_problem
from slicewise.file_names import file_name
from slicewise.imaging.files import private_folder, write_text
from slicewise.tracking.processes import is_running, own_start
from slicewise.tracking.store import Store

Entry = Mapping[str, Any]
_ABOUT, _ENTRIES, _DELIVERED, _FILES = "about.json", "entries.jsonl", "delivered", "files"
_LOCAL = "the store of the work folder"


class Spool:
    """The journal of one run.

    Args:
        folder: of the spool; its name identifies the run until the store has assigned an id.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = FileLock(f"{folder}.lock")
        self._writing = threading.Lock()

    @classmethod
    def begin(cls, store: Store) -> Self:
        """Create an empty spool for a store.

        Raises:
            OutputError: the work folder cannot be written.
        """
        spool = cls(private_folder(private_folder(store.folder / "spool") / uuid.uuid4().hex))
        owner = {"process": os.getpid(), "started": own_start()}
        about = {"store": _name(store), "begun": time.time(), **owner}
        write_text(spool.folder / _ABOUT, json.dumps(about) + "\n", private=True)
        return spool

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
    def owner_is_running(self) -> bool:
        """Whether the process that created it is still running, so that entries may follow."""
        about = self._about
        return is_running(int(about["process"]), float(about["started"]))

    @property
    def has_ended(self) -> bool:
        """Whether the run has ended."""
        return any(entry["kind"] == "end" for entry, _ in self._entries(0))

    @property
    def first_entry(self) -> Entry:
        """The entry that starts the run; empty before it is written."""
        return next((entry for entry, _ in self._entries(0)), {})

    @property
    def _about(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / _ABOUT).read_text(encoding="utf-8"))
        return content

    def append(self, kind: str, **content: Any) -> None:
        """Add an entry with content that JSON can hold.

        Raises:
            OutputError: the folder cannot be written.
        """
        line = json.dumps({"kind": kind, **content}) + "\n"
        try:
            with self._writing, (self.folder / _ENTRIES).open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def keep(self, path: Path) -> str:
        """Keep a file or a folder in its present state; returns its name for an entry.

        Raises:
            OutputError: it cannot be read, or the folder cannot be written.
        """
        name = f"{uuid.uuid4().hex[:12]}/{path.name}"
        place = self.file(name)
        try:
            place.parent.mkdir(parents=True)
            if path.is_dir():
                shutil.copytree(path, place, copy_function=_link)
            else:
                _link(str(path), str(place))
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return name

    def file(self, name: str) -> Path:
        """Path of a kept file."""
        return self.folder / _FILES / name

    def waiting(self) -> Iterator[tuple[Entry, int]]:
        """Entries that the store does not have, each with its end in bytes.

        A line that a crash has cut off is left out.
        """
        return self._entries(self._delivered())

    def is_delivered(self) -> bool:
        """Whether the store has every entry."""
        return next(self.waiting(), None) is None

    def mark_delivered(self, end: int) -> None:
        """Record that the store has all entries up to a byte."""
        write_text(self.folder / _DELIVERED, f"{end}\n", private=True)

    def remove(self) -> None:
        """Delete the spool."""
        shutil.rmtree(self.folder, ignore_errors=True)

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
                yield json.loads(line), end

    def _delivered(self) -> int:
        path = self.folder / _DELIVERED
        return int(path.read_text()) if path.is_file() else 0


def spools(store: Store) -> list[Spool]:
    """All spools of a work folder, oldest first, so that parent runs precede their children."""
    folders = [path.parent for path in (store.folder / "spool").glob(f"*/{_ABOUT}")]
    return sorted(map(Spool, folders), key=lambda spool: spool.begun)


def remember_id(store: Store, spool_id: str, run_id: str) -> None:
    """Record the run id that the store assigned, for files that hold the id of the spool."""
    folder = private_folder(store.folder / "spooled")
    write_text(folder / f"{spool_id}.json", json.dumps({"run_id": run_id}) + "\n", private=True)


def known_id(store: Store, text: str) -> str:
    """MLflow's id of a run that may be named by the id of its spool."""
    remedy = "list the runs with `slicewise runs list`"
    file_name(text, f"run {text}", suffix=".json", kind=ModelError, remedy=remedy)
    path = store.folder / "spooled" / f"{text}.json"
    if not path.is_file():
        return text
    return str(json.loads(path.read_text(encoding="utf-8"))["run_id"])


def spool_ids(store: Store, run_id: str) -> list[str]:
    """Ids of the spools of a run."""
    records = (store.folder / "spooled").glob("*.json")
    return [path.stem for path in records if known_id(store, path.stem) == run_id]


def _name(store: Store) -> str:
    # Without its path: the work folder may be moved.
    return _LOCAL if store.is_local else store.shown_uri


def _link(source: str, target: str) -> None:
    """Link a file, or copy it: a link keeps the content when the file is replaced."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(
        folder,
        expected="space for the journal of the run",
        found=file_problem(error),
        remedy="free space, or use another work folder",
    )
