"""Delivers to the tracking store what earlier runs left in the work folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.progress import SILENT, Progress, tracked
from slicewise.tracking.spool.spool import spools
from slicewise.tracking.spool.syncing import Synced, mark_killed, sync_spools
from slicewise.tracking.store import open_store


@dataclass(frozen=True)
class SyncOptions:
    """What to deliver.

    Attributes:
        work: work folder with the spools of runs.
    """

    work: Path = Path("work")


@dataclass(frozen=True)
class SyncResult:
    """What was delivered.

    Attributes:
        store: address of the store, without a password.
        killed: names of runs whose process was killed; they are marked in the store now.
        runs: one result per run that had something to deliver.
    """

    store: str
    killed: tuple[str, ...]
    runs: tuple[Synced, ...]

    @property
    def problem(self) -> str:
        """Why the store refused something; empty if it took everything."""
        return next((run.delivered.problem for run in self.runs if run.delivered.problem), "")


def sync(options: SyncOptions, progress: Progress = SILENT) -> SyncResult:
    """Deliver everything that waits in a work folder, and mark runs that were killed.

    Raises:
        OutputError: the store does not open.
    """
    store = open_store(options.work)
    killed = tuple(mark_killed(store))
    waiting = len(spools(store))
    runs = tracked(sync_spools(store), progress, "delivering", waiting) if waiting else ()
    return SyncResult(store.shown_uri, killed, tuple(runs))
