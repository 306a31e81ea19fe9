"""A tracked run: its configuration, cases, metrics, files and final status.

Everything that a run logs is written to a spool on disk first, and delivered to the store from
there: a store that is down, slow or locked neither stops a training nor slows it down.
"""

from __future__ import annotations

import atexit
import logging
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from slicewise.config import Config
from slicewise.errors import ModelError, OutputError
from slicewise.interruption import LastWords, SignalReceived, is_interrupted
from slicewise.tracking.packing import ModelFiles, pack_model
from slicewise.tracking.provenance import provenance_tags
from slicewise.tracking.run_log import RunLog, now
from slicewise.tracking.spool.delivery import Delivered, deliver, end_in_store
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, waiting_spool
from slicewise.tracking.spool.syncing import ENDED_BY_TAG, remove_if_done
from slicewise.tracking.spool.uploader import Uploader
from slicewise.tracking.store import Store

_log = logging.getLogger(__name__)

WAITING = "waits for `slicewise sync`"
"""Takes the place of version and alias while the store does not have the model yet."""
_SKIPPED = "slicewise.skipped_values"

_DELIVERY_SECONDS = 30.0
"""Longest time that the end of a run waits for its delivery; it does not wait for a store that
refuses."""
_INTERRUPTED_SECONDS = 1.0
"""The same where a signal ends it."""


def start_run(
    store: Store,
    config: Config,
    run_name: str,
    *,
    fold: int | None = None,
    tags: Mapping[str, str] | None = None,
    parent: str | None = None,
) -> TrackedRun:
    """Start a run with its configuration and code version; use it as a context manager.

    Args:
        store: where the run is kept.
        config: logged as parameters, without folders of this machine.
        run_name: shown in lists.
        fold: number of the fold that is trained; None for a run over all folds.
        tags: further tags.
        parent: id of the run over all folds that this one belongs to.
    """
    all_tags = {
        **provenance_tags(),
        **_searchable(config),
        **({} if fold is None else {"slicewise.fold": str(fold)}),
        **(tags or {}),
    }
    spool = Spool.begin(store)
    spool.append(
        "create",
        experiment=config.tracking.experiment,
        name=run_name,
        tags=all_tags,
        parent=parent,
        time=now(),
    )
    run = TrackedRun(store, spool)
    run.log_config(config)
    return run


def continue_run(store: Store, run_id: str) -> TrackedRun:
    """Reopen a run, for a training that is resumed.

    What an earlier process has left in its spool comes first, in its order.

    Raises:
        ModelError: the store does not know the run.
    """
    skipped = 0
    spool = waiting_spool(store, run_id)
    if spool is None or not spool.continue_run(run_id, forget=[ENDED_BY_TAG]):
        if store.answers:
            skipped = int(_tags_of(store, run_id).get(_SKIPPED, 0))
        spool = Spool.begin(store)
        spool.append("continue", run_id=run_id, forget=[ENDED_BY_TAG])
    run = TrackedRun(store, spool, run_id)
    run.skipped_values = skipped
    # Another process, perhaps on another host and with newer code.
    run.set_tags(provenance_tags())
    return run


def _tags_of(store: Store, run_id: str) -> Mapping[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        tags: Mapping[str, str] = store.client.get_run(known_id(store, run_id)).data.tags
    except MlflowException as error:
        raise ModelError(
            run_id,
            expected=f"a run in {store.shown_uri}",
            found="no run of this id",
            remedy="name the `work` folder or set MLFLOW_TRACKING_URI as when the training was "
            "started; without its `run.json` the training goes on in a new run",
        ) from error
    return tags


class TrackedRun(RunLog):
    """An open run; leaving the context records its final status.

    Attributes:
        store: where the run is kept.

    Args:
        store: where the run is kept.
        spool: journal of the run, with its first entry.
        run_id: of a run that is continued; empty for a new one.
    """

    def __init__(self, store: Store, spool: Spool, run_id: str = "") -> None:
        super().__init__(spool)
        self.store = store
        self._first_id = run_id or spool.spool_id
        self._has_ended = False
        self._uploader = Uploader(spool, store, Delivered())
        # A process that ends before the context is entered or left does not leave it running.
        atexit.register(self._end_at_exit)
        self._last_words = LastWords(lambda: self._end("KILLED", "signal"))
        # A first attempt, so that the run has MLflow's id from the beginning where possible.
        if store.answers:
            deliver(spool, store, self._uploader.delivered)

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; the id of its spool until the store has assigned one."""
        return self._uploader.delivered.run_id or self._first_id

    @property
    def experiment_id(self) -> str:
        """MLflow's id of its experiment; empty while the store does not answer."""
        return self._uploader.delivered.experiment_id

    def __enter__(self) -> Self:
        self._uploader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(_status(error), "" if error is None else _ended_by(error))

    def _end_at_exit(self) -> None:
        self._end("FAILED", "exit")

    def _end(self, status: str, ended_by: str) -> None:
        """Write the end once, and deliver what the store takes."""
        atexit.unregister(self._end_at_exit)
        if self._has_ended:
            return
        self._has_ended = True
        self._last_words.forget()
        last = {ENDED_BY_TAG: ended_by} if ended_by else {}
        if self.skipped_values:
            last[_SKIPPED] = str(self.skipped_values)
        try:
            if last:
                self.set_tags(last)
            self._spool.append("end", status=status, time=now())
        except OutputError as error:
            # The disk is full, perhaps that alone is why the run ends: the store may be elsewhere.
            self._uploader.stop(0)
            end_in_store(self.store, self._uploader.delivered, status, last, error)
            return
        if self._uploader.stop(_INTERRUPTED_SECONDS if is_interrupted() else _DELIVERY_SECONDS):
            remove_if_done(self._spool)
        else:
            _log.warning(
                "%s has not received all of this run (%s); nothing is lost: `slicewise sync` or "
                "the next training delivers the rest",
                self.store.shown_uri,
                self._uploader.delivered.problem or "it is slow",
            )

    def wait_until_delivered(self, timeout_seconds: float = _DELIVERY_SECONDS) -> bool:
        """Wait until the store has everything that was logged so far, or refuses it.

        Returns:
            Whether the store has everything.
        """
        return self._uploader.wait_until_delivered(timeout_seconds)

    def register(
        self,
        files: ModelFiles,
        model_name: str,
        *,
        card: str,
        contrasts: Sequence[str] = ("image",),
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Register a model as soon as the store takes it; see ``register_model``.

        Returns:
            Version and alias, or ``WAITING``.
        """
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / "model"
            pack_model(files, card, packed)
            with self._timed():
                self._spool.append(
                    "model",
                    file=self._spool.keep(packed),
                    name=model_name,
                    card=card,
                    contrasts=list(contrasts),
                    tags=dict(tags or {}),
                    content=files.digest(),
                )
        self.wait_until_delivered()
        return self._uploader.delivered.registered or WAITING


def _searchable(config: Config) -> dict[str, str]:
    """The tags by which people search for runs."""
    return {
        "slicewise.config": config.name,
        "slicewise.structures": ", ".join(config.data.labels),
        "slicewise.contrasts": ", ".join(config.data.contrasts),
        "slicewise.plane": config.preprocessing.plane,
    }


def _status(error: BaseException | None) -> str:
    if error is None:
        return "FINISHED"
    if is_interrupted() or isinstance(error, KeyboardInterrupt | SignalReceived):
        return "KILLED"
    return "FAILED"


def _ended_by(error: BaseException) -> str:
    """The name of the signal, or of the error."""
    if isinstance(error, SignalReceived):
        return signal.Signals(error.number).name
    return type(error).__name__
