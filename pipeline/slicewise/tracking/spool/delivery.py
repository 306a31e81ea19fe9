"""Delivers the entries of a spool to the tracking store; delivering twice does no harm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from slicewise.errors import SlicewiseError
from slicewise.tracking.packing import unpack_model
from slicewise.tracking.registry import register_model
from slicewise.tracking.spool.spool import Entry, Spool, known_id, remember_id
from slicewise.tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities import Run

SPOOL_TAG = "slicewise.spool"
"""Tag with the id of the spool, so that its run is created only once."""
_ENTRY_TAG = "slicewise.spool_entry"


@dataclass
class Delivered:
    """The state of a delivery.

    Attributes:
        run_id: of the run in the store; empty before it is created.
        experiment_id: of the run.
        entries: number of delivered entries.
        registered: version and alias of the model that was registered; empty without one.
        problem: why the remaining entries could not be delivered; empty if none remain.
    """

    run_id: str = ""
    experiment_id: str = ""
    entries: int = 0
    registered: str = ""
    problem: str = ""


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
    return found


def _deliver_waiting(spool: Spool, store: Store, found: Delivered, most: int) -> None:
    from mlflow.exceptions import MlflowException

    first = found.entries
    for entry, end in spool.waiting():
        try:
            if not found.run_id and entry["kind"] not in ("create", "continue"):
                _find_run(spool, store, found)
            _DELIVERIES[str(entry["kind"])](entry, spool, store, found)
        except (MlflowException, SlicewiseError, OSError) as error:
            found.problem = _first_line(error)
            return
        spool.mark_delivered(end)
        found.entries += 1
        if most and found.entries - first >= most:
            return


def _find_run(spool: Spool, store: Store, found: Delivered) -> None:
    """Look up the run that an earlier process created for the spool."""
    run = store.client.get_run(known_id(store, spool.spool_id))
    found.run_id, found.experiment_id = run.info.run_id, run.info.experiment_id


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
    from mlflow.entities import Metric

    del spool
    metrics = [
        Metric(key, value, entry["time"], entry["step"]) for key, value in entry["values"].items()
    ]
    store.client.log_batch(found.run_id, metrics=metrics)


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
    store.client.log_artifact(found.run_id, str(spool.file(entry["file"])), entry["folder"])


def _model(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    """Register a model only once, even if a crash lost the record of its delivery."""
    mark = f"{spool.spool_id} {entry['file']}"
    for version in store.client.search_model_versions(f"run_id='{found.run_id}'"):
        if (version.tags or {}).get(_ENTRY_TAG) == mark:
            found.registered = f"models:/{version.name}/{version.version}"
            return
    packed = spool.file(entry["file"])
    registered = register_model(
        RunAddress(store, found.run_id, found.experiment_id),
        unpack_model(packed, entry["name"]),
        entry["name"],
        card=entry["card"],
        contrasts=entry["contrasts"],
        tags={**entry["tags"], _ENTRY_TAG: mark},
    )
    found.registered = f"{registered.uri} ({registered.alias})"


def _end(entry: Entry, spool: Spool, store: Store, found: Delivered) -> None:
    del spool
    store.client.set_terminated(found.run_id, status=entry["status"], end_time=entry["time"])


_Delivery = Callable[[Entry, Spool, Store, Delivered], None]
_DELIVERIES: Mapping[str, _Delivery] = {
    "create": _create,
    "continue": _continue,
    "parameters": _parameters,
    "metrics": _metrics,
    "tags": _tags,
    "input": _input,
    "artifact": _artifact,
    "model": _model,
    "end": _end,
}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
