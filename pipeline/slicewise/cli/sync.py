"""``slicewise sync``: what waits for the tracking store is delivered."""

from __future__ import annotations

from slicewise.cli.options import DEFAULT_WORK, Work


def sync(work: Work = DEFAULT_WORK) -> None:
    """Deliver to the tracking store what it could not take while trainings ran.

    A store that is down or slow never stops a training: what it is told lies in the work folder
    until this command, or the next training, delivers it. Runs whose process was killed are marked.

    Example:
      MLFLOW_TRACKING_URI=http://127.0.0.1:5000 slicewise sync
    """
    from slicewise.cli.console import loading

    with loading():
        from slicewise.cli.syncing_run import sync as deliver
    deliver(work)
