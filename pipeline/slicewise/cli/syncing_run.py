"""A work folder in; out what its store takes of what waits, in words."""

from __future__ import annotations

from pathlib import Path

from slicewise.cli.bridge import tracked
from slicewise.cli.console import note, output
from slicewise.errors import OutputError
from slicewise.tracking.spool.spool import spools
from slicewise.tracking.spool.syncing import Synced, mark_killed, sync_in_background, sync_spools
from slicewise.tracking.store import Store, open_store


def tidy_up(store: Store) -> None:
    """Mark runs that were killed, and deliver what earlier runs have left, before a new one."""
    if not store.answers:
        note("the run is kept in the work folder until its store answers: `slicewise sync`")
        return
    for name in mark_killed(store):
        note(f"{name} was killed; its run is marked so")
    sync_in_background(store)


def sync(work: Path) -> None:
    """Deliver all that waits in a work folder.

    Raises:
        OutputError: the store does not open, or refuses something.
    """
    store = open_store(work)
    for name in mark_killed(store):
        output.print(f"{name} was killed; its run is marked so", markup=False)
    waiting = len(spools(store))
    found = list(tracked(sync_spools(store), "delivering", waiting)) if waiting else []
    for one in found:
        output.print(_told(one), markup=False, soft_wrap=True)
    refused = [one for one in found if one.delivered.problem]
    if refused:
        raise OutputError(
            store.shown_uri,
            expected="a store that takes what waits",
            found=refused[0].delivered.problem,
            remedy="nothing is lost; call `slicewise sync` again when it answers",
        )
    if not found:
        output.print("nothing waits")


def _told(one: Synced) -> str:
    if one.elsewhere:
        return f"{one.name}: waits for {one.elsewhere}; name that store to deliver it"
    entries = f"{one.delivered.entries} entries delivered"
    model = f", {one.delivered.registered}" if one.delivered.registered else ""
    rest = f"; the rest waits: {one.delivered.problem}" if one.delivered.problem else ""
    return f"{one.name}: {entries}{model}{rest}"
