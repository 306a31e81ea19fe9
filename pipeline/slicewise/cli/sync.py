"""``slicewise sync``: deliver to the tracking store what earlier runs left in the work folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicewise.cli.options import DEFAULT_WORK, Work

if TYPE_CHECKING:
    from slicewise.tracking.spool.syncing import Synced


def sync(work: Work = DEFAULT_WORK) -> None:
    """Deliver runs that wait in the work folder to the tracking store.

    A store that is down or slow never stops a training: its run is kept in the
    work folder until this command, or the next training, delivers it. Runs whose
    process was killed are marked as killed.

    Example:
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 slicewise sync
    """
    from slicewise.cli.console import PROGRESS, loading, show
    from slicewise.errors import OutputError

    with loading():
        from slicewise.workflows.sync import SyncOptions
        from slicewise.workflows.sync import sync as deliver
    result = deliver(SyncOptions(work), PROGRESS)
    for name in result.killed:
        show(f"{name} was killed; its run is marked as killed")
    for run in result.runs:
        show(_line(run))
    if result.problem:
        raise OutputError(
            result.store,
            expected="a store that accepts the waiting runs",
            found=result.problem,
            remedy="nothing is lost; run `slicewise sync` again when that is settled",
        )
    if not result.runs:
        show("no run waits for delivery")


def _line(run: Synced) -> str:
    if run.elsewhere:
        return f"{run.name}: waits for {run.elsewhere}; set MLFLOW_TRACKING_URI to it to deliver"
    model = f", {run.delivered.registered}" if run.delivered.registered else ""
    rest = f"; the rest waits: {run.delivered.problem}" if run.delivered.problem else ""
    return f"{run.name}: {run.delivered.entries} entries delivered{model}{rest}"
