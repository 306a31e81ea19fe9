"""A work folder in; what waits in it is delivered, and runs whose process has died are told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from slicewise.progress import SILENT, Progress
from slicewise.tracking.processes import lives
from slicewise.tracking.provenance import HOST_TAG, PROCESS_TAG, STARTED_TAG
from slicewise.tracking.spool.delivery import Delivered, deliver
from slicewise.tracking.spool.spool import Spool, spools
from slicewise.tracking.spool.uploader import HEARTBEAT_SECONDS, HEARTBEAT_TAG
from slicewise.tracking.store import Store, answering

if TYPE_CHECKING:
    from mlflow.entities import Run

ENDED_BY_TAG = "slicewise.ended_by"
SILENT_SECONDS = 3 * HEARTBEAT_SECONDS
"""A heartbeat that is older counts as silence."""


@dataclass(frozen=True)
class Synced:
    """What became of one spool.

    Attributes:
        spool_id: of the spool.
        name: of its run, or its id.
        delivered: what was delivered.
        elsewhere: the store that it waits for, where that is another one; empty otherwise.
    """

    spool_id: str
    name: str
    delivered: Delivered
    elsewhere: str = ""


def sync_spools(store: Store) -> Iterator[Synced]:
    """Deliver what ended runs have left, parents first; runs that go on deliver for themselves."""
    for spool in spools(store):
        if spool.owner_lives and not spool.has_ended:
            continue
        name = _run_name(spool)
        if not spool.is_for(store):
            yield Synced(spool.spool_id, name, Delivered(), spool.store_name)
            continue
        delivered = deliver(spool, store)
        remove_if_done(spool)
        yield Synced(spool.spool_id, name, delivered)


def sync_in_background(store: Store) -> None:
    """Deliver what earlier runs have left while this process goes on with its work."""
    threading.Thread(target=lambda: list(sync_spools(store)), daemon=True).start()


def tidy_up(store: Store, progress: Progress = SILENT) -> None:
    """Mark runs that were killed and deliver what earlier runs have left, before a new run."""
    if not store.answers:
        progress.message(
            "the run is kept in the work folder until its store answers: `slicewise sync`"
        )
        return
    for name in mark_killed(store):
        progress.message(f"{name} was killed; its run is marked so")
    sync_in_background(store)


def remove_if_done(spool: Spool) -> None:
    """Remove a spool that holds nothing the store lacks, and to which nobody adds any more."""
    try:
        with spool.lock.acquire(timeout=0):
            over = spool.has_ended or not spool.owner_lives
            if over and spool.is_delivered():
                spool.remove()
    except Timeout:
        return


def mark_killed(store: Store, silent_seconds: float = SILENT_SECONDS) -> list[str]:
    """Mark runs of this host as killed whose process is gone and whose heartbeat is old.

    Args:
        store: that is asked.
        silent_seconds: age from which on a heartbeat counts as old.

    Returns:
        Names of these runs.

    Raises:
        OutputError: the store refuses.
    """
    host = socket.gethostname().replace("'", "''")
    wanted = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{host}'"
    with answering(store, "the runs"):
        experiments = [item.experiment_id for item in store.client.search_experiments()]
        running = store.client.search_runs(experiments, wanted)
        killed = [run for run in running if _is_killed(run, silent_seconds)]
        for run in killed:
            store.client.set_tag(run.info.run_id, ENDED_BY_TAG, "killed")
            store.client.set_terminated(run.info.run_id, status="KILLED", end_time=_last_sign(run))
    return [run.info.run_name or run.info.run_id for run in killed]


def _is_killed(run: Run, silent_seconds: float) -> bool:
    tags = run.data.tags
    try:
        process, started = int(tags[PROCESS_TAG]), float(tags[STARTED_TAG])
    except (LookupError, ValueError):
        # A run of an earlier version cannot be told from one that lives.
        return False
    return not lives(process, started) and time.time() - _last_sign(run) / 1000 > silent_seconds


def _last_sign(run: Run) -> int:
    """Milliseconds since 1970."""
    beat = run.data.tags.get(HEARTBEAT_TAG)
    return int(1000 * float(beat)) if beat else int(run.info.start_time)


def _run_name(spool: Spool) -> str:
    entry = spool.first_entry
    return str(entry.get("name") or entry.get("run_id") or spool.spool_id)
