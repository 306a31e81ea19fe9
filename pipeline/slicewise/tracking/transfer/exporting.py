"""Exports runs, their logged models and registered versions to a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from slicewise.errors import ModelError
from slicewise.file_names import file_name
from slicewise.tracking.listing import search_runs
from slicewise.tracking.resolving import known_run
from slicewise.tracking.store import Store, answering
from slicewise.tracking.transfer.package import (
    ARTIFACTS,
    METRICS,
    MODEL,
    MODELS,
    REGISTRY,
    RUN,
    RUNS,
    write_json,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

PARENT_TAG = "mlflow.parentRunId"


def chosen_runs(store: Store, names: Sequence[str], model_name: str | None) -> list[Run]:
    """The named runs, those of the versions of a model, and their child runs.

    Args:
        store: that has them.
        names: ids of runs.
        model_name: registered model whose runs are added; None adds none.

    Raises:
        ModelError: a run or a model that the store does not know.
        OutputError: the store refuses.
    """
    wanted = list(names)
    if model_name is not None:
        quoted = model_name.replace("'", "''")
        with answering(store, f"model {model_name}"):
            versions = list(store.client.search_model_versions(f"name='{quoted}'"))
        wanted += [version.run_id for version in versions if version.run_id]
        if not versions:
            raise _unknown(store, f"model {model_name}")
    found: dict[str, Run] = {}
    for run_id in wanted:
        run = known_run(store, run_id)
        is_child = f"tags.`{PARENT_TAG}` = '{run.info.run_id}'"
        with answering(store, f"run {run_id}"):
            children = list(search_runs(store, [run.info.experiment_id], is_child))
        found |= {item.info.run_id: item for item in (run, *children)}
    return list(found.values())


def export_runs(store: Store, runs: Sequence[Run], folder: Path) -> Iterator[str]:
    """Write runs, their logged models and registered versions; yields the name of each run.

    Raises:
        OutputError: the store refuses, or the folder cannot be written.
    """
    experiments = {item.experiment_id: item for item in store.client.search_experiments()}
    # A version names the location of its files, not the logged model.
    models: dict[str, str] = {}
    for run in runs:
        place = folder / RUNS / _folder_name(run.info.run_id)
        with answering(store, f"run {run.info.run_id}"):
            experiment = experiments[run.info.experiment_id]
            write_json(place / RUN, _described(run, experiment.name, dict(experiment.tags)))
            _write_metrics(store, run, place / METRICS)
            _fetch(store, run.info.artifact_uri, place / ARTIFACTS)
            for model_id in _logged_models(run):
                location = _export_model(store, model_id, folder / MODELS / _folder_name(model_id))
                models[location] = model_id
        yield run.info.run_name or run.info.run_id
    with answering(store, "the registry"):
        kept = {run.info.run_id for run in runs}
        write_json(folder / REGISTRY, _registry(store, kept, models))


def _described(run: Run, experiment: str, experiment_tags: dict[str, str]) -> dict[str, Any]:
    outputs = run.outputs.model_outputs if run.outputs else []
    return {
        "run_id": run.info.run_id,
        "name": run.info.run_name,
        "experiment": experiment,
        "experiment_tags": experiment_tags,
        "status": run.info.status,
        "start_time": run.info.start_time,
        "end_time": run.info.end_time,
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "inputs": [
            {"dataset": dict(item.dataset), "tags": {tag.key: tag.value for tag in item.tags}}
            for item in (run.inputs.dataset_inputs if run.inputs else [])
        ],
        "outputs": [{"model_id": item.model_id, "step": item.step} for item in outputs],
    }


def _write_metrics(store: Store, run: Run, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for key in sorted(run.data.metrics):
            for point in store.client.get_metric_history(run.info.run_id, key):
                row = (key, point.value, point.timestamp, point.step, point.model_id)
                file.write(json.dumps(row) + "\n")


def _logged_models(run: Run) -> Iterable[str]:
    outputs = run.outputs.model_outputs if run.outputs else []
    return dict.fromkeys(item.model_id for item in outputs)


def _export_model(store: Store, model_id: str, place: Path) -> str:
    """Export a logged model; returns the location of its files in the store."""
    model = store.client.get_logged_model(model_id)
    content = {
        "model_id": model.model_id,
        "name": model.name,
        "model_type": model.model_type,
        "status": str(model.status),
        "source_run_id": model.source_run_id,
        "params": dict(model.params or {}),
        "tags": dict(model.tags or {}),
    }
    write_json(place / MODEL, content)
    _fetch(store, model.artifact_location, place / ARTIFACTS)
    return str(model.artifact_location)


def _fetch(store: Store, uri: str, place: Path) -> None:
    """Download the files below an address, if there are any."""
    from mlflow.artifacts import download_artifacts, list_artifacts

    place.mkdir(parents=True, exist_ok=True)
    for item in list_artifacts(artifact_uri=uri, tracking_uri=store.uri):
        # One by one, as a whole folder would be placed below its own name. A listed path may begin
        # with the last folder of the address.
        one = f"{uri}/{quote(PurePosixPath(item.path).name)}"
        download_artifacts(artifact_uri=one, dst_path=str(place), tracking_uri=store.uri)


def _registry(store: Store, runs: set[str], models: Mapping[str, str]) -> list[dict[str, Any]]:
    """Registered models with the versions that belong to exported runs.

    Args:
        store: that has them.
        runs: ids of the exported runs.
        models: location of each logged model to its id.
    """
    found = []
    for name in sorted(model.name for model in store.client.search_registered_models()):
        model = store.client.get_registered_model(name)
        quoted = name.replace("'", "''")
        versions = list(store.client.search_model_versions(f"name='{quoted}'"))
        chosen = sorted(
            (version for version in versions if version.run_id in runs),
            key=lambda version: int(version.version),
        )
        numbers = {str(version.version) for version in chosen}
        if chosen:
            aliases = {key: str(value) for key, value in (model.aliases or {}).items()}
            found.append(
                {
                    "name": name,
                    "description": model.description or "",
                    "tags": dict(model.tags or {}),
                    "aliases": {key: value for key, value in aliases.items() if value in numbers},
                    "versions": [_version(version, models) for version in chosen],
                }
            )
    return found


def _version(version: ModelVersion, models: Mapping[str, str]) -> dict[str, Any]:
    return {
        "version": str(version.version),
        "run_id": version.run_id,
        "model_id": version.model_id or models.get(version.source or ""),
        "description": version.description or "",
        "tags": dict(version.tags or {}),
    }


def _folder_name(text: str) -> str:
    """An id of the store, as the name of a folder of the package."""
    remedy = "the store may be damaged; export the other runs"
    return file_name(text, "id in the store", suffix="", kind=ModelError, remedy=remedy)


def _unknown(store: Store, what: str) -> ModelError:
    return ModelError(
        what,
        expected=f"one that exists in {store.shown_uri}",
        found=f"no {what.partition(' ')[0]} of this name",
        remedy="list them with `slicewise runs list` and `slicewise models`",
    )
