"""A tracked run: its configuration, cases, metrics, files and final status.

Everything that a run logs is written to a spool on disk first, and delivered to the store from
there: a store that is down, slow or locked neither stops a training nor slows it down.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import math
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from slicewise.config import Config, flatten, without_places
from slicewise.errors import ModelError, OutputError
from slicewise.imaging.files import write_text
from slicewise.interruption import LastWords, SignalReceived, is_interrupted
from slicewise.tracking.packing import ModelFiles, pack_model
from slicewise.tracking.provenance import provenance_tags
from slicewise.tracking.spool.delivery import Delivered, deliver, end_in_store
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.spool.spool import Spool, waiting_spool
from slicewise.tracking.spool.syncing import ENDED_BY_TAG, remove_if_done
from slicewise.tracking.spool.uploader import Uploader
from slicewise.tracking.store import Store

_log = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoint"
WAITING = "waits for `slicewise sync`"
"""Takes the place of version and alias while the store does not have the model yet."""
_SKIPPED = "slicewise.skipped_values"

CaseUse = Literal["training", "validation", "test"]

# Limits of MLflow's stores.
_LONGEST_VALUE = 6000
_PARAMETERS_AT_ONCE = 100
_DIGEST_LENGTH = 36

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
        time=_now(),
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


class TrackedRun:
    """An open run; leaving the context records its final status.

    Attributes:
        store: where the run is kept.
        skipped_values: number of metrics that were not finite and therefore not logged.
        logging_seconds: time that the caller has spent in the methods of this object.

    Args:
        store: where the run is kept.
        spool: journal of the run, with its first entry.
        run_id: of a run that is continued; empty for a new one.
    """

    def __init__(self, store: Store, spool: Spool, run_id: str = "") -> None:
        self.store = store
        self.skipped_values = 0
        self.logging_seconds = 0.0
        self._spool = spool
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
            self._spool.append("end", status=status, time=_now())
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

    def set_tag(self, key: str, value: str) -> None:
        """Set one tag."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        with self._timed():
            self._spool.append("tags", values=dict(tags))

    def log_config(self, config: Config) -> None:
        """Log every key of the configuration as a parameter."""
        flat = flatten(without_places(config))
        parameters = [(_name(key), _value(text)) for key, text in flat.items()]
        with self._timed():
            for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
                part = dict(parameters[start : start + _PARAMETERS_AT_ONCE])
                self._spool.append("parameters", values=part)

    def log_cases(
        self,
        context: CaseUse,
        cases: Mapping[str, str],
        data_set: str,
    ) -> str:
        """Log the case list of a fold as a data-set input; images are not copied.

        Args:
            context: what the cases are used for.
            cases: name of each case, without identities, to the checksum of its files.
            data_set: name of the data set, shown in lists.

        Returns:
            The sha256 of the list: the same for the same cases with the same content.
        """
        rows = sorted(cases.items())
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        file = f"cases/{context}.json"
        self.log_json({"sha256": digest, "cases": dict(rows)}, file)
        dataset = {
            "name": f"{data_set} {context}",
            "digest": digest[:_DIGEST_LENGTH],
            "source_type": "code",
            "source": json.dumps({"tags": {"cases": file, "sha256": digest}}),
            "schema": json.dumps({"mlflow_colspec": _CASE_COLUMNS}),
            "profile": json.dumps({"cases": len(rows), "names": [name for name, _ in rows]}),
        }
        with self._timed():
            self._spool.append("input", context=context, dataset=dataset)
        return digest

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log values at one step; those that are not finite are counted instead."""
        finite = {_name(key): float(value) for key, value in values.items() if math.isfinite(value)}
        self.skipped_values += len(values) - len(finite)
        if finite:
            with self._timed():
                self._spool.append("metrics", step=step, time=_now(), values=finite)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file in its present state, below ``folder`` of the run's artifacts."""
        with self._timed():
            self._spool.append("artifact", file=self._spool.keep(path), folder=folder)

    def log_json(self, content: object, file: str) -> None:
        """Log a JSON file under a name such as ``cases/training.json``."""
        self.log_text(json.dumps(content, indent=2) + "\n", file)

    def log_text(self, text: str, file: str) -> None:
        """Log a text file under a name such as ``notes/summary.md``."""
        place = Path(file)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / place.name
            write_text(path, text)
            self.log_artifact(path, str(place.parent) if len(place.parts) > 1 else None)

    def log_figure(self, path: Path) -> None:
        """Log a picture, below ``figures``."""
        self.log_artifact(path, "figures")

    def log_checkpoint(self, path: Path) -> None:
        """Log the checkpoint that ``resolve_model`` finds by the id of the run."""
        self.log_artifact(path, CHECKPOINT_FOLDER)

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

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.logging_seconds += time.perf_counter() - start


_CASE_COLUMNS = [
    {"type": "string", "name": "case", "required": True},
    {"type": "string", "name": "sha256", "required": True},
]


def _searchable(config: Config) -> dict[str, str]:
    """The tags by which people search for runs."""
    return {
        "slicewise.config": config.name,
        "slicewise.structures": ", ".join(config.data.labels),
        "slicewise.contrasts": ", ".join(config.data.contrasts),
        "slicewise.plane": config.preprocessing.plane,
    }


def _now() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


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


def _name(key: str) -> str:
    """A key in the characters that MLflow allows; names of structures may have any."""
    return re.sub(r"[^\w\-./ ]", "_", key)


def _value(text: str) -> str:
    # Other people read a server, and folders of this machine may name patients.
    shown = Path(text).name if Path(text).is_absolute() else text
    return shown[:_LONGEST_VALUE]
