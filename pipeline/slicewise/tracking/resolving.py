"""Finds the model or the run that a run id or a ``models:/`` address refers to."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import ModelError
from slicewise.tracking.listing import all_runs
from slicewise.tracking.packing import PACKED, ModelFiles, unpack_model
from slicewise.tracking.run_log import CHECKPOINT_FOLDER
from slicewise.tracking.spool.run_ids import known_id
from slicewise.tracking.store import Store, answering

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>[0-9]+))")
_SHOWN = 10
_NEAREST = 3


def resolve_model(store: Store, text: str) -> ModelFiles | None:
    """The files of a model; None if the text is neither a run id nor a ``models:/`` address.

    Args:
        store: where runs and models are kept.
        text: a run id, ``models:/name@alias`` or ``models:/name/3``.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    if _RUN_ID.fullmatch(text):
        return _from_run(store, text)
    if text.startswith("models:/"):
        return _from_registry(store, text)
    return None


def resolve_run(store: Store, text: str) -> str | None:
    """The id of a run; None if the text is neither a run id nor a ``models:/`` address.

    Args:
        store: where runs and models are kept.
        text: a run id, or the ``models:/`` address of a model that the run registered.

    Raises:
        ModelError: the store knows no such model.
    """
    if _RUN_ID.fullmatch(text):
        return known_id(store, text)
    return find_version(store, text).run_id if text.startswith("models:/") else None


def known_run(store: Store, text: str) -> Run:
    """The run with an id.

    Raises:
        ModelError: the store knows no such run; the remedy names those with similar ids or names.
        OutputError: the store refuses.
    """
    from mlflow.exceptions import MlflowException

    run_id = known_id(store, text)
    with answering(store, f"run {text}"):
        try:
            return store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            similar = _similar_runs(store, text)
    question = f"did you mean {' or '.join(similar)}? " if similar else ""
    raise ModelError(
        f"run {text}",
        expected=f"a run in {store.shown_uri}",
        found="no such run",
        remedy=f"{question}list the runs with `slicewise runs list`, or name the `work` folder of "
        "the run",
    )


def _similar_runs(store: Store, text: str) -> list[str]:
    """Ids that begin like a text, as tables shorten them; or of that name; or similar ones."""
    runs = all_runs(store)[::-1]
    ids = [run.info.run_id for run in runs]
    named = [run.info.run_id for run in runs if run.info.run_name == text]
    shortened = [run_id for run_id in ids if text and run_id.startswith(text)]
    return (shortened or named or difflib.get_close_matches(text, ids, _NEAREST))[:_NEAREST]


def _from_run(store: Store, run_id: str) -> ModelFiles:
    run = known_run(store, run_id)
    run_id = run.info.run_id
    with answering(store, f"run {run_id}"):
        registered = list(store.client.search_model_versions(f"run_id='{run_id}'"))
    if registered:
        newest = max(registered, key=lambda item: int(item.version))
        return _from_registry(store, f"models:/{newest.name}/{newest.version}")
    return _fetched(store, run_id, f"{run.info.artifact_uri}/{CHECKPOINT_FOLDER}")


def _from_registry(store: Store, text: str) -> ModelFiles:
    found = find_version(store, text)
    source = store.client.get_model_version_download_uri(found.name, found.version)
    return _fetched(store, text, f"{source}/artifacts")


def find_version(store: Store, text: str) -> ModelVersion:
    """The version with the address ``models:/name@alias`` or ``models:/name/3``.

    Raises:
        ModelError: another form, or no such version; the remedy lists those that exist.
    """
    from mlflow.exceptions import MlflowException

    parts = _MODEL.fullmatch(text)
    if parts is None:
        raise ModelError(
            text,
            expected="models:/name@alias or models:/name/3",
            found="another form",
            remedy=_known_models(store),
        )
    try:
        return _version(store, parts)
    except MlflowException as error:
        raise ModelError(
            text,
            expected=f"a model registered in {store.uri}",
            found=_first_line(error),
            remedy=_known_models(store),
        ) from error


def _version(store: Store, parts: re.Match[str]) -> ModelVersion:
    if parts["alias"]:
        return store.client.get_model_version_by_alias(parts["name"], parts["alias"])
    return store.client.get_model_version(parts["name"], parts["version"])


def _fetched(store: Store, where: str, uri: str) -> ModelFiles:
    """Download a folder of the store; a folder on this machine is used in place."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    try:
        folder = Path(download_artifacts(artifact_uri=uri, tracking_uri=store.uri))
    except (MlflowException, OSError) as error:
        raise ModelError(
            where,
            expected="the artifacts of a model",
            found=_first_line(error),
            remedy="restore them, use another version, or name a checkpoint file",
        ) from error
    packed = folder / PACKED
    return unpack_model(packed if packed.is_dir() else folder, where)


def _known_models(store: Store) -> str:
    """The remedy that lists the registered models."""
    models = store.client.search_registered_models(max_results=_SHOWN)
    known = [
        f"models:/{model.name}@{alias}"
        for model in models
        for alias in (store.client.get_registered_model(model.name).aliases or {})
    ]
    return f"choose one of {', '.join(known)}" if known else "train and register a model first"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["an error without a message"])[0]
