"""One training in, one MLflow run out: configuration, cases, metrics, files and how it ended.

Whatever a run tells goes to a spool on disk, and from there to the store. A store that is down,
slow or locked neither stops a training nor slows it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from slicewise.config import Config, flatten, without_places
from slicewise.errors import InterruptedBySignal, ModelError
from slicewise.imaging.files import write_text
from slicewise.tracking.packing import ModelFiles, pack_model
from slicewise.tracking.provenance import provenance_tags
from slicewise.tracking.spool.delivery import Delivered, deliver
from slicewise.tracking.spool.spool import Spool, known_id
from slicewise.tracking.spool.syncing import ENDED_BY_TAG, remove_if_done
from slicewise.tracking.spool.uploader import Uploader
from slicewise.tracking.store import Store

_log = logging.getLogger(__name__)

CHECKPOINT_FOLDER = "checkpoint"
WAITING = "waits for `slicewise sync`"
"""What a run says of a model that the store does not have yet."""
_SKIPPED = "slicewise.skipped_values"

CaseUse = Literal["training", "validation", "test"]

# Limits of MLflow's stores.
_LONGEST_VALUE = 6000
_PARAMETERS_AT_ONCE = 100
_DIGEST_LENGTH = 36

_PATIENCE_SECONDS = 30.0
"""So long the end of a run waits for a store that takes what it is given; for one that refuses, it
does not wait."""


def start_run(
    store: Store,
    config: Config,
    run_name: str,
    *,
    fold: int | None = None,
    tags: Mapping[str, str] | None = None,
    parent: TrackedRun | None = None,
) -> TrackedRun:
    """Begin a run with its configuration and code version; use it as a context manager.

    Args:
        store: where the run is kept.
        config: what is logged, flattened; folders of this machine are left out.
        run_name: how lists call the run.
        fold: fold that is trained; none for a run over all folds.
        tags: further facts.
        parent: the run over all folds that this one belongs to.
    """
    own = {
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
        tags=own,
        parent=None if parent is None else parent.run_id,
        time=_now(),
    )
    run = TrackedRun(store, spool)
    run.log_config(config)
    return run


def continue_run(store: Store, run_id: str) -> TrackedRun:
    """Open a run again, for a training that goes on.

    Raises:
        ModelError: the store does not know the run.
    """
    skipped = 0
    if store.answers:
        skipped = int(_tags_of(store, run_id).get(_SKIPPED, 0))
    spool = Spool.begin(store)
    spool.append("continue", run_id=run_id, forget=[ENDED_BY_TAG])
    run = TrackedRun(store, spool)
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
            found="none of that id",
            remedy="give the --work folder that the training began with",
        ) from error
    return tags


class TrackedRun:
    """A run that is open; leaving the context writes how it ended.

    Attributes:
        store: where the run is kept.
        skipped_values: metrics that were not finite and therefore not logged.
        logging_seconds: that the caller has spent in the methods of this object.

    Args:
        store: where the run is kept.
        spool: that holds how the run begins.
    """

    def __init__(self, store: Store, spool: Spool) -> None:
        self.store = store
        self.skipped_values = 0
        self.logging_seconds = 0.0
        self._spool = spool
        # One attempt, so that a run is known by its own id wherever that is possible.
        found = deliver(spool, store) if store.answers else Delivered()
        self._courier = Uploader(spool, store, found)

    @property
    def run_id(self) -> str:
        """MLflow's identifier; that of the spool while the store has not given one."""
        return self._courier.delivered.run_id or self._spool.spool_id

    @property
    def experiment_id(self) -> str:
        """The experiment that holds it; empty while the store does not answer."""
        return self._courier.delivered.experiment_id

    def __enter__(self) -> Self:
        self._courier.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        last = {ENDED_BY_TAG: kind.__name__} if kind is not None else {}
        if self.skipped_values:
            last[_SKIPPED] = str(self.skipped_values)
        if last:
            self.set_tags(last)
        self._spool.append("end", status=_status(error), time=_now())
        if self._courier.leave(_PATIENCE_SECONDS):
            remove_if_done(self._spool)
        else:
            _log.warning(
                "%s does not take all of this run yet (%s); nothing is lost: `slicewise sync` or "
                "the next training delivers it",
                self.store.shown_uri,
                self._courier.delivered.problem or "it is slow",
            )

    def settle(self, patience_seconds: float = _PATIENCE_SECONDS) -> bool:
        """Wait for the store to take what was told so far; whether it has.

        A store that refuses is not waited for.
        """
        return self._courier.settle(patience_seconds)

    def set_tag(self, key: str, value: str) -> None:
        """A fact about the run."""
        self.set_tags({key: value})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Facts about the run."""
        with self._timed():
            self._spool.append("tags", values=dict(tags))

    def log_config(self, config: Config) -> None:
        """Every key of the configuration as a parameter."""
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
        """The case list of a fold as a data-set input; no image leaves its place.

        Args:
            context: what the cases are used for.
            cases: case name, free of identities, to the checksum of its files.
            data_set: how lists call the data set.

        Returns:
            The hash of the list: the same for the same cases with the same content.
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
        """Values at one step; those that are not finite are counted instead of logged."""
        finite = {_name(key): float(value) for key, value in values.items() if math.isfinite(value)}
        self.skipped_values += len(values) - len(finite)
        if finite:
            with self._timed():
                self._spool.append("metrics", step=step, time=_now(), values=finite)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """A file as it is now, below ``folder`` of the run."""
        with self._timed():
            self._spool.append("artifact", file=self._spool.keep(path), folder=folder)

    def log_json(self, content: object, file: str) -> None:
        """A JSON file at a place of the run, such as ``cases/training.json``."""
        self.log_text(json.dumps(content, indent=2) + "\n", file)

    def log_text(self, text: str, file: str) -> None:
        """A text file at a place of the run."""
        place = Path(file)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / place.name
            write_text(path, text)
            self.log_artifact(path, str(place.parent) if len(place.parts) > 1 else None)

    def log_figure(self, path: Path) -> None:
        """A picture file."""
        self.log_artifact(path, "figures")

    def log_checkpoint(self, path: Path) -> None:
        """The checkpoint that ``resolve_model`` finds by the identifier of the run."""
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
        """Register a model, see ``register_model``, as soon as the store takes it.

        Returns:
            Version and alias, or that it waits.
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
                )
        self.settle()
        return self._courier.delivered.registered or WAITING

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.logging_seconds += time.perf_counter() - begun


_CASE_COLUMNS = [
    {"type": "string", "name": "case", "required": True},
    {"type": "string", "name": "sha256", "required": True},
]


def _searchable(config: Config) -> dict[str, str]:
    """What people look for runs by."""
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
    if isinstance(error, KeyboardInterrupt | InterruptedBySignal):
        return "KILLED"
    return "FAILED"


def _name(key: str) -> str:
    """A key with the characters that MLflow allows; structures may be named with any."""
    return re.sub(r"[^\w\-./ ]", "_", key)


def _value(text: str) -> str:
    # A server is read by others: folders of this machine may name patients.
    shown = Path(text).name if Path(text).is_absolute() else text
    return shown[:_LONGEST_VALUE]
