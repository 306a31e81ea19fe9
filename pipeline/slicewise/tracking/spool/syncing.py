"""Delivers what earlier runs left in a work folder, and marks runs whose process was killed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from slicewise.progress import SILENT, Progress
from slicewise.tracking.listing import search_runs
from slicewise.tracking.processes import is_running
from slicewise.tracking.provenance import HOST_TAG, PROCESS_TAG, STARTED_TAG
from slicewise.tracking.spool.delivery import Delivered, deliver
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, spools
from slicewise.tracking.spool.uploader import HEARTBEAT_SECONDS, HEARTBEAT_TAG
from slicewise.tracking.store import Store, answering

if TYPE_CHECKING:
    from mlflow.entities import Run

ENDED_BY_TAG = "slicewise.ended_by"
SILENT_SECONDS = 3 * HEARTBEAT_SECONDS
"""Age above which a heartbeat is old."""


@dataclass(frozen=True)
class Synced:
    """The result for one spool.

    Attributes:
        spool_id: of the spool.
        name: of its run, or its id.
        delivered: state of the delivery.
        elsewhere: another store, which the spool is for; empty if it is for this one.
    """

    spool_id: str
    name: str
    delivered: Delivered
    elsewhere: str = ""


def sync_spools(store: Store) -> Iterator[Synced]:
    """Deliver the spools of ended runs, parents first; running ones deliver their own."""
    for spool in spools(store):
        if spool.owner_may_run(SILENT_SECONDS) and not spool.has_ended:
            continue
        name = _run_name(spool)
        if not spool.is_for(store):
            yield Synced(spool.spool_id, name, Delivered(), spool.store_name)
            continue
        delivered = deliver(spool, store)
        remove_if_done(spool)
        yield Synced(spool.spool_id, name, delivered)


def sync_in_background(store: Store) -> None:
    """Deliver the spools of ended runs in a thread."""
    threading.Thread(target=lambda: list(sync_spools(store)), daemon=True).start()


def tidy_up(store: Store, progress: Progress = SILENT) -> None:
    """Mark killed runs and deliver the spools of earlier runs, before a new run starts."""
    if not store.answers:
        progress.message(
            f"{store.shown_uri}: {store.problem}; the run waits in the work folder for "
            "`slicewise sync`"
        )
        return
    for name in mark_killed(store):
        progress.message(f"{name} was killed; its run is marked as killed")
    sync_in_background(store)


def remove_if_done(spool: Spool) -> None:
    """Delete a spool that is delivered and to which no entries can follow."""
    try:
        with spool.lock.acquire(timeout=0):
            spool.remove_if(lambda: spool.has_ended and spool.is_delivered())
    except (Timeout, OSError):
        # It stays until the next time.
        return


def mark_killed(store: Store, silent_seconds: float = SILENT_SECONDS) -> list[str]:
    """Mark runs of this host as killed if their process is gone and their heartbeat is old.

    Args:
        store: that is asked.
        silent_seconds: age above which a heartbeat is old.

    Returns:
        Names of these runs.

    Raises:
        OutputError: the store refuses.
    """
    waiting = [(spool, _store_id(spool, store)) for spool in spools(store)]
    ended = [spool for spool, _ in waiting if _end_abandoned(spool, silent_seconds)]
    # What these runs are to be is written in their spools.
    spooled = {run_id for _, run_id in waiting}
    host = socket.gethostname().replace("'", "''")
    wanted = f"attributes.status = 'RUNNING' and tags.`{HOST_TAG}` = '{host}'"
    with answering(store, "the runs"):
        experiments = [item.experiment_id for item in store.client.search_experiments()]
        running = list(search_runs(store, experiments, wanted))
        killed = [
            run
            for run in running
            if run.info.run_id not in spooled and _is_killed(run, silent_seconds)
        ]
        for run in killed:
            store.client.set_tag(run.info.run_id, ENDED_BY_TAG, "killed")
            store.client.set_terminated(run.info.run_id, status="KILLED", end_time=_last_alive(run))
    return [
        *(_run_name(spool) for spool in ended),
        *(run.info.run_name or run.info.run_id for run in killed),
    ]


def _end_abandoned(spool: Spool, silent_seconds: float) -> bool:
    """Write the end of a run whose process is gone into its spool; whether that was missing."""
    silent = time.time() - spool.last_written
    if spool.has_ended or silent <= silent_seconds or spool.owner_may_run(silent_seconds):
        return False
    stamp = int(1000 * spool.last_written)
    spool.end_abandoned({ENDED_BY_TAG: "killed"}, stamp)
    return True


def _store_id(spool: Spool, store: Store) -> str:
    """MLflow's id of the run of a spool."""
    ids = {known_id(store, name) for name in spool.run_ids} - {spool.spool_id}
    return next(iter(ids), spool.spool_id)


def _is_killed(run: Run, silent_seconds: float) -> bool:
    tags = run.data.tags
    try:
        process, started = int(tags[PROCESS_TAG]), float(tags[STARTED_TAG])
    except (LookupError, ValueError):
        # Runs of earlier versions do not say; they may still be running.
        return False
    return (
        not is_running(process, started) and time.time() - _last_alive(run) / 1000 > silent_seconds
    )


def _last_alive(run: Run) -> int:
    """Milliseconds since 1970."""
    beat = run.data.tags.get(HEARTBEAT_TAG)
    return int(1000 * float(beat)) if beat else int(run.info.start_time)


def _run_name(spool: Spool) -> str:
    entry = spool.first_entry
    return str(entry.get("name") or entry.get("run_id") or spool.spool_id)
