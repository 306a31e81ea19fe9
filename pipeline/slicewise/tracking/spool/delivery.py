"""Delivers the entries of a spool to the tracking store; delivering twice does no harm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from slicewise.errors import CheckpointError, ModelError, OutputError, SlicewiseError, file_problem
from slicewise.tracking.packing import unpack_model
from slicewise.tracking.registry import register_model
from slicewise.tracking.spool.run_ids import known_id, remember_id
from slicewise.tracking.spool.spool import DAMAGED, Entry, Spool
from slicewise.tracking.store import Store
from slicewise.tracking.store_problems import plain

if TYPE_CHECKING:
    from mlflow.entities import Run

SPOOL_TAG = "slicewise.spool"
"""Tag with the id of the spool, so that its run is created only once."""
_REFUSED_TAG = "slicewise.registration_refused"
DAMAGED_TAG = "slicewise.damaged_entries"
"""Tag of a run that lacks what was damaged before the store had it."""
_SAMPLED = "system/"
"""Names of samples of the system begin with it."""
_log = logging.getLogger(__name__)


@dataclass
class Delivered:
    """The state of a delivery.

    Attributes:
        run_id: of the run in the store; empty before it is created.
        experiment_id: of the run.
        entries: number of delivered entries.
        registered: version and alias of the model that was registered, or why it was refused;
            empty without one.
        problem: why the remaining entries could not be delivered; empty if none remain.
        was_continued: whether the run had points before entries of this spool.
        sampled: number of samples of the system that it had then.
        steps: of each metric, those that the store has; filled as they are needed.
    """

    run_id: str = ""
    experiment_id: str = ""
    entries: int = 0
    registered: str = ""
    problem: str = ""
    was_continued: bool = False
    sampled: int = 0
    steps: dict[str, set[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class RunAddress:
    """A run that exists in its store."""

    store: Store
    run_id: str
    experiment_id: str


def deliver(spool: Spool, store: Store, known: Delivered | None = None, most: int = 0) -> Delivered:
    """Deliver the entries that the store does not have, in order, until it refuses one.

    Args:
        spool: of a run.
        store: that the spool is for.
        known: state after earlier deliveries of this process; it is updated.
        most: number of entries; 0 for all.

    Returns:
        ``known``, or a new state.
    """
    found = known or Delivered()
    found.problem = ""
    try:
        with spool.lock.acquire(timeout=0):
            _deliver_waiting(spool, store, found, most)
    except Timeout:
        found.problem = "another process delivers it"
    except OSError as error:
        found.problem = f"{spool.folder}: {file_problem(error)}"
    return found


def _deliver_waiting(spool: Spool, store: Store, found: Delivered, most: int) -> None:
    if spool.is_delivered():
        return
    first = found.entries
    try:
        store.require_writable()
        if not found.run_id:
            _find_run(spool, store, found)
        for entry, end in spool.waiting():
            _DELIVERIES[str(entry["kind"])](entry, spool, store, found)
            spool.mark_delivered(end, found.sampled)
            found.entries += 1
            if most and found.entries - first >= most:
                return
    except SlicewiseError as error:
        found.problem = error.found
    # Whatever an entry meets, it waits in the spool and the caller goes on.
    except Exception as error:
        is_deleted = _is_deleted(store, found.run_id)
        found.problem = _deleted(spool) if is_deleted else plain(error)


def _is_deleted(store: Store, run_id: str) -> bool:
    """Whether somebody has deleted a run, which MLflow keeps, but takes nothing for."""
    try:
        return str(store.client.get_run(run_id).info.lifecycle_stage) == "deleted"
    # It was never there, or the store does not answer.
    except Exception:
        return False


def _deleted(spool: Spool) -> str:
    return (
        "its run was deleted in MLflow; restore it there, or remove what waits for it: "
        f"{spool.folder}"
    )


def _find_run(spool: Spool, store: Store, found: Delivered) -> None:
    """Look up the run that an earlier process created for the spool."""
    from mlflow.exceptions import MlflowException

    next_entry, _ = next(spool.waiting())
    if next_entry["kind"] in ("create", "continue"):
        return
    try:
        run = store.client.get_run(known_id(store, spool.spool_id))
    except MlflowException:
        if spool.first_entry["kind"] != "create":
            raise
        # The store was lost meanwhile: the spool has the whole run.
        spool.mark_delivered(0, 0)
        return
    found.run_id, found.experiment_id = run.info.run_id, run.info.experiment_id
    found.was_continued, found.sampled = spool.was_continued, spool.sampled


def _create(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    experiment = store.experiment(entry["experiment"])
    run = _created_before(store, experiment, spool.spool_id)
    if run is None:
        tags = {**entry["tags"], SPOOL_TAG: spool.spool_id}
        if entry["parent"]:
            tags["mlflow.parentRunId"] = known_id(store, entry["parent"])
        run = store.client.create_run(
            experiment, start_time=entry["time"], run_name=entry["name"], tags=tags
        )
    found.run_id, found.experiment_id = run.info.run_id, experiment
    remember_id(store, spool.spool_id, found.run_id)


def _continue(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    run = store.client.get_run(known_id(store, entry["run_id"]))
    found.run_id, found.experiment_id = run.info.run_id, run.info.experiment_id
    found.was_continued, found.steps = True, {}
    found.sampled = max(
        (
            max(_steps(key, store, found), default=0)
            for key in run.data.metrics
            if key.startswith(_SAMPLED)
        ),
        default=0,
    )
    store.client.update_run(found.run_id, status="RUNNING")
    for key in entry["forget"]:
        if key in run.data.tags:
            store.client.delete_tag(found.run_id, key)
    remember_id(store, spool.spool_id, found.run_id)


def _created_before(store: Store, experiment: str, spool_id: str) -> Run | None:
    runs = store.client.search_runs(
        [experiment], f"tags.`{SPOOL_TAG}` = '{spool_id}'", max_results=1
    )
    return runs[0] if runs else None


def _parameters(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    from mlflow.entities import Param

    del spool
    parameters = [Param(key, value) for key, value in entry["values"].items()]
    store.client.log_batch(found.run_id, params=parameters)


def _metrics(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    """Log values, but for steps that a killed process had logged before they were repeated."""
    del spool
    step, values = entry["step"], entry["values"]
    if found.was_continued:
        values = {key: values[key] for key in values if step not in _steps(key, store, found)}
    _log_values(values, step, entry, store, found)
    for key in found.steps.keys() & values.keys():
        found.steps[key].add(step)


def _samples(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    """Log a sample of the system; those of a continued run are numbered on."""
    del spool
    _log_values(entry["values"], found.sampled + entry["step"], entry, store, found)


def _log_values(
    values: Mapping[str, float], step: int, entry: Entry, store: Store, found: Delivered
) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(key, value, entry["time"], step) for key, value in values.items()]
    if metrics:
        store.client.log_batch(found.run_id, metrics=metrics)


def _steps(key: str, store: Store, found: Delivered) -> set[int]:
    """Steps of a metric that the store has."""
    if key not in found.steps:
        history = store.client.get_metric_history(found.run_id, key)
        found.steps[key] = {point.step for point in history}
    return found.steps[key]


def _tags(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    from mlflow.entities import RunTag

    del spool
    tags = [RunTag(key, value) for key, value in entry["values"].items()]
    store.client.log_batch(found.run_id, tags=tags)


def _input(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    del spool
    context = InputTag("mlflow.data.context", entry["context"])
    store.client.log_inputs(
        found.run_id, datasets=[DatasetInput(Dataset(**entry["dataset"]), [context])]
    )


def _artifact(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    if not spool.is_whole(entry["file"]):
        _damaged(entry, spool, store, found)
        return
    store.client.log_artifact(found.run_id, str(spool.file(entry["file"])), entry["folder"])


def _damaged(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    """Say in the run that it lacks something."""
    lost = Path(entry["file"]).name if "file" in entry else "an entry"
    known = store.client.get_run(found.run_id).data.tags.get(DAMAGED_TAG, "")
    names = sorted({*filter(None, known.split(", ")), lost})
    store.client.set_tag(found.run_id, DAMAGED_TAG, ", ".join(names))
    _log.warning("%s of the run was damaged in %s and is left out", lost, spool.folder)


def _model(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    """Register a model; one that the registry refuses does not keep the rest from the store."""
    try:
        registered = register_model(
            RunAddress(store, found.run_id, found.experiment_id),
            unpack_model(spool.file(entry["file"]), entry["name"]),
            entry["name"],
            card=entry["card"],
            contrasts=entry["contrasts"],
            tags=entry["tags"],
            content=entry["content"],
        )
    except (ModelError, CheckpointError) as error:
        found.registered = f"refused: {error.found}"
        store.client.set_tag(found.run_id, _REFUSED_TAG, error.found)
        _log.warning("the model was not registered: %s", error)
        return
    found.registered = (
        f"{registered.uri} ({registered.alias})" if registered.alias else registered.uri
    )


def _end(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    del spool
    store.client.set_terminated(found.run_id, status=entry["status"], end_time=entry["time"])


def end_in_store(
    store: Store, found: Delivered, status: str, tags: Mapping[str, str], error: OutputError
) -> None:
    """Mark a run as ended whose spool cannot be written.

    Args:
        store: that has the run, perhaps.
        found: state of the delivery.
        status: of the run.
        tags: of the run.
        error: of the spool.
    """
    try:
        for key, value in tags.items():
            store.client.set_tag(found.run_id, key, value)
        store.client.set_terminated(found.run_id, status=status)
    # Without a run in the store, or without a store, the next start marks it.
    except Exception:
        _log.warning(
            "the end of the run was not written and is marked at the next start: %s", error
        )


_Delivery = Callable[[Entry, Spool, Store, Delivered], None]
_DELIVERIES: Mapping[str, _Delivery] = {
    "create": _create,
    "continue": _continue,
    "parameters": _parameters,
    "metrics": _metrics,
    "samples": _samples,
    "tags": _tags,
    "input": _input,
    "artifact": _artifact,
    DAMAGED: _damaged,
    "model": _model,
    "end": _end,
}
