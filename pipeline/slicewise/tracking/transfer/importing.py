"""Imports exported runs, models and versions into a store, each only once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from slicewise.file_names import file_name
from slicewise.tracking.store import Store, answering
from slicewise.tracking.transfer.content import (
    InputContent,
    OutputContent,
    RegisteredContent,
    RunContent,
    VersionContent,
    read_model,
    read_points,
    read_registry,
    read_run,
)
from slicewise.tracking.transfer.exporting import PARENT_TAG
from slicewise.tracking.transfer.package import (
    ARTIFACTS,
    METRICS,
    MODEL,
    MODELS,
    REGISTRY,
    RUN,
    RUNS,
)

OLD_RUN_TAG = "slicewise.imported_from.run_id"
OLD_MODEL_TAG = "slicewise.imported_from.model_id"
OLD_VERSION_TAG = "slicewise.imported_from.version"
_COMPLETE_TAG = "slicewise.import_complete"
_NOT_OURS = "do not use this file; export the runs again"
_POINTS_AT_ONCE, _PARAMETERS_AT_ONCE = 1000, 100


@dataclass
class Imported:
    """The result of an import.

    Attributes:
        runs: old id of each run to the new one.
        models: old id of each logged model to the new one.
        skipped: names of runs that the store had already.
        versions: addresses of the new versions of registered models.
        kept_aliases: aliases that were not moved, as they point at another version here.
    """

    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    kept_aliases: list[str] = field(default_factory=list)


def exported_runs(folder: Path) -> list[RunContent]:
    """The runs of a package, parents before their children.

    Raises:
        DataError: another content, or an id that does not stand for a folder of the package.
    """
    runs = [read_run(path) for path in sorted((folder / RUNS).glob(f"*/{RUN}"))]
    for run in runs:
        # Folders of the package are found by them.
        for name in (run.run_id, *(output.model_id for output in run.outputs)):
            file_name(str(name), f"{RUN} in the package", suffix="", remedy=_NOT_OURS)
    return sorted(runs, key=lambda run: (PARENT_TAG in run.tags, run.start_time))


def import_runs(
    store: Store,
    folder: Path,
    runs: Sequence[RunContent],
    done: Imported,
    *,
    move_aliases: bool = False,
) -> Iterator[str]:
    """Create runs, logged models and versions in a store; yields the name of each run.

    Runs that exist already are left unchanged; an interrupted import of a run is repeated.

    Args:
        store: to import into.
        folder: of the package.
        runs: of the package, parents first.
        done: result, which is filled.
        move_aliases: whether existing aliases are moved to imported versions.

    Raises:
        OutputError: the store refuses.
    """
    registered = read_registry(folder / REGISTRY, runs)
    for run in runs:
        with answering(store, f"run {run.run_id}"):
            _import_run(store, folder, run, done)
        yield str(run.name or run.run_id)
    for model in registered:
        with answering(store, f"model {model.name}"):
            _import_registered(store, model, done, move_aliases=move_aliases)


def _import_run(store: Store, folder: Path, run: RunContent, done: Imported) -> None:
    old = run.run_id
    experiment = store.experiment(run.experiment)
    for key, value in run.experiment_tags.items():
        store.client.set_experiment_tag(experiment, key, value)
    for known in store.client.search_runs([experiment], f"tags.`{OLD_RUN_TAG}` = '{old}'"):
        if known.data.tags.get(_COMPLETE_TAG) == "true":
            done.runs[old] = known.info.run_id
            done.skipped.append(str(run.name or old))
            _add_known_models(known, done, store)
            return
        store.client.delete_run(known.info.run_id)
    new = _created(store, experiment, run, done)
    place = folder / RUNS / old
    _log_points(store, new, place / METRICS)
    _log_inputs(store, new, run.inputs)
    # Archives do not keep empty folders.
    if (place / ARTIFACTS).is_dir():
        store.client.log_artifacts(new, str(place / ARTIFACTS))
    for output in run.outputs:
        _import_model(store, folder / MODELS / output.model_id, experiment, new, output, done)
    store.client.set_terminated(new, status=run.status, end_time=run.end_time)
    store.client.set_tag(new, _COMPLETE_TAG, "true")
    done.runs[old] = new


def _created(store: Store, experiment: str, run: RunContent, done: Imported) -> str:
    from mlflow.entities import Param

    tags = dict(run.tags)
    if parent := tags.get(PARENT_TAG):
        # If the parent was not exported, its old id remains, which a later import may resolve.
        tags[PARENT_TAG] = done.runs.get(parent, parent)
    tags[OLD_RUN_TAG] = run.run_id
    created = store.client.create_run(
        experiment, start_time=run.start_time, run_name=run.name, tags=tags
    )
    parameters = [Param(key, value) for key, value in run.params.items()]
    for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
        part = parameters[start : start + _PARAMETERS_AT_ONCE]
        store.client.log_batch(created.info.run_id, params=part)
    return str(created.info.run_id)


def _log_points(store: Store, run_id: str, path: Path) -> None:
    from mlflow.entities import Metric

    points = [Metric(key, value, time, step) for key, value, time, step, _ in read_points(path)]
    for start in range(0, len(points), _POINTS_AT_ONCE):
        store.client.log_batch(run_id, metrics=points[start : start + _POINTS_AT_ONCE])


def _log_inputs(store: Store, run_id: str, inputs: Sequence[InputContent]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    found = [
        DatasetInput(
            Dataset(**asdict(item.dataset)),
            [InputTag(key, value) for key, value in item.tags.items()],
        )
        for item in inputs
    ]
    if found:
        store.client.log_inputs(run_id, datasets=found)


def _import_model(
    store: Store,
    place: Path,
    experiment: str,
    run_id: str,
    output: OutputContent,
    done: Imported,
) -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.entities.logged_model_status import LoggedModelStatus

    model = read_model(place / MODEL)
    created = store.client.create_logged_model(
        experiment,
        name=model.name,
        source_run_id=run_id,
        tags={**_without_mlflow_tags(model.tags), OLD_MODEL_TAG: model.model_id},
        params=model.params,
        model_type=model.model_type,
    )
    if (place / ARTIFACTS).is_dir():
        store.client.log_model_artifacts(created.model_id, str(place / ARTIFACTS))
    store.client.log_outputs(run_id, [LoggedModelOutput(created.model_id, step=output.step)])
    is_ready = model.status.upper().endswith("READY")
    status = LoggedModelStatus.READY if is_ready else LoggedModelStatus.FAILED
    store.client.finalize_logged_model(created.model_id, status)
    done.models[model.model_id] = created.model_id


def _add_known_models(run: Any, done: Imported, store: Store) -> None:
    """Map the logged models of an earlier import to their old ids."""
    for output in run.outputs.model_outputs if run.outputs else []:
        tags = store.client.get_logged_model(output.model_id).tags or {}
        if OLD_MODEL_TAG in tags:
            done.models[tags[OLD_MODEL_TAG]] = output.model_id


def _import_registered(
    store: Store, model: RegisteredContent, done: Imported, *, move_aliases: bool
) -> None:
    from mlflow.exceptions import MlflowException

    name = model.name
    try:
        store.client.create_registered_model(name, model.tags, model.description)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    numbers = {item.version: _import_version(store, name, item, done) for item in model.versions}
    present = {
        k: str(v) for k, v in (store.client.get_registered_model(name).aliases or {}).items()
    }
    for alias, old in model.aliases.items():
        if present.get(alias, numbers[old]) == numbers[old] or move_aliases:
            store.client.set_registered_model_alias(name, alias, numbers[old])
        else:
            done.kept_aliases.append(f"{name}@{alias}")


def _import_version(store: Store, name: str, item: VersionContent, done: Imported) -> str:
    """Number of the version here, created unless an earlier import has done so."""
    mark = f"{item.run_id} {item.version}"
    quoted = name.replace("'", "''")
    for version in store.client.search_model_versions(f"name='{quoted}'"):
        if (version.tags or {}).get(OLD_VERSION_TAG) == mark:
            return str(version.version)
    model_id = done.models.get(item.model_id or "")
    run_id = done.runs[item.run_id]
    if model_id is None:
        source = f"runs:/{run_id}/model"
    else:
        source = store.client.get_logged_model(model_id).artifact_location
    created = store.client.create_model_version(
        name,
        source=source,
        run_id=run_id,
        model_id=model_id,
        tags={**item.tags, OLD_VERSION_TAG: mark},
        description=item.description,
    )
    done.versions.append(f"models:/{name}/{created.version}")
    return str(created.version)


def _without_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without those of MLflow itself."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
