"""Promotes versions of registered models by moving their aliases, and rolls promotions back.

``champion`` is the version in use, ``previous`` the former champion, ``challenger`` the newest
version that was not compared yet. Aliases are set in an order that leaves no moment without a
champion; after a crash, a second call completes the promotion.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import TrackingSection
from slicewise.errors import ModelError
from slicewise.evaluation.results import SCORES
from slicewise.evaluation.scores import Score, read_scores
from slicewise.imaging.own_files import CHECKSUMS
from slicewise.tracking.aliases import CHALLENGER, CHAMPION, PREVIOUS
from slicewise.tracking.resolving import find_version, known_run
from slicewise.tracking.store import Store, answering

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion

_MARGIN = "tracking.promotion_margin"


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name: of the model.
        version: its number.
        run_id: of its training; empty if the registry does not know.
        folds: kind of the folds that its scores come from; empty if not known.
    """

    name: str
    version: int
    run_id: str
    folds: str

    @property
    def uri(self) -> str:
        """Address of this version."""
        return f"models:/{self.name}/{self.version}"


def find_model_version(store: Store, text: str, model_name: str | None = None) -> ModelVersion:
    """Find a version by its address or its run.

    Args:
        store: that has it.
        text: ``models:/name@alias``, ``models:/name/3``, or the id of a run.
        model_name: which of the models that a run has registered.

    Raises:
        ModelError: there is no such version, or several.
        OutputError: the store refuses.
    """
    if text.startswith("models:/"):
        return _model_version(find_version(store, text))
    text = known_run(store, text).info.run_id
    with answering(store, f"run {text}"):
        found = list(store.client.search_model_versions(f"run_id='{text}'"))
    versions = [item for item in found if model_name in (None, item.name)]
    names = sorted({item.name for item in versions})
    if len(names) != 1:
        raise ModelError(
            f"run {text}",
            expected="a run that registered one model",
            found=", ".join(names) or "no registered model",
            remedy="name the model with `model_name`"
            if names
            else "finish the training with `resume`, or deliver it with `slicewise sync`",
        )
    return _model_version(max(versions, key=lambda item: int(item.version)))


def champion_of(store: Store, model_name: str) -> ModelVersion | None:
    """The present champion; None if there is none.

    Raises:
        OutputError: the store refuses.
    """
    return _version_with_alias(store, model_name, CHAMPION)


def scores_of(store: Store, model_version: ModelVersion) -> list[Score]:
    """The scores of the held-out cases of a version's run.

    Raises:
        ModelError: the version has no run, or the run has no scores.
        DataError: they are damaged.
    """
    from mlflow.exceptions import MlflowException

    if not model_version.run_id:
        raise _no_scores(model_version, "no run in the registry")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with suppress(MlflowException, OSError):
                # Not among the files of a run of another program.
                store.client.download_artifacts(model_version.run_id, CHECKSUMS, folder)
            path = store.client.download_artifacts(model_version.run_id, SCORES, folder)
        except (MlflowException, OSError) as error:
            raise _no_scores(model_version, f"no {SCORES} in run {model_version.run_id}") from error
        return read_scores(Path(path))


def margin_of(store: Store, model_version: ModelVersion) -> float:
    """The non-inferiority margin in the configuration of a version's run, in Dice.

    Raises:
        OutputError: the store refuses.
    """
    default = TrackingSection().promotion_margin
    if not model_version.run_id:
        return default
    with answering(store, f"run {model_version.run_id}"):
        parameters = store.client.get_run(model_version.run_id).data.params
    # Runs of earlier versions lack the key; the default applied to them.
    return float(parameters.get(_MARGIN, default))


def promote(
    store: Store,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    evidence: Mapping[str, str],
) -> None:
    """Make a version the champion, and the former champion ``previous``.

    Args:
        store: that has both.
        challenger: the new champion.
        champion: the former champion, if any.
        evidence: further tags of the version, such as the result of the comparison.

    Raises:
        OutputError: the store refuses.
    """
    client, name = store.client, challenger.name
    tags = {
        "promoted_at": _now(),
        "promoted_over": str(champion.version) if champion else "none",
        **evidence,
    }
    with answering(store, challenger.uri):
        for key, value in tags.items():
            client.set_model_version_tag(name, str(challenger.version), key, value)
        if champion is not None:
            client.set_registered_model_alias(name, PREVIOUS, str(champion.version))
        client.set_registered_model_alias(name, CHAMPION, str(challenger.version))
        _drop_alias(store, challenger, CHALLENGER)


def finish_promotion(store: Store, champion: ModelVersion) -> None:
    """Complete a promotion that a crash interrupted: a champion is not a challenger.

    Raises:
        OutputError: the store refuses.
    """
    with answering(store, champion.uri):
        _drop_alias(store, champion, CHALLENGER)


def roll_back(store: Store, model_name: str, reason: str) -> tuple[ModelVersion, ModelVersion]:
    """Make the previous champion champion again.

    Args:
        store: that has the model.
        model_name: registered model.
        reason: recorded as a tag of the version that loses the alias.

    Returns:
        The former champion and the present one.

    Raises:
        ModelError: there is no such model, or no previous champion.
        OutputError: the store refuses.
    """
    former, now = (
        _version_with_alias(store, model_name, CHAMPION),
        _version_with_alias(store, model_name, PREVIOUS),
    )
    if former is None or now is None or former == now:
        raise ModelError(
            f"model {model_name}",
            expected=f"a version with the alias {PREVIOUS}, the former champion",
            found="no such version",
            remedy="list the versions with `slicewise models`; `slicewise promote` one of them",
        )
    with answering(store, former.uri):
        for key, value in {"rolled_back_at": _now(), "rolled_back_because": reason}.items():
            store.client.set_model_version_tag(model_name, str(former.version), key, value)
        store.client.set_registered_model_alias(model_name, CHAMPION, str(now.version))
        _drop_alias(store, now, PREVIOUS)
    return former, now


def _version_with_alias(store: Store, model_name: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return _model_version(store.client.get_model_version_by_alias(model_name, alias))
    except MlflowException as error:
        # Stores report a missing alias with different codes.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        with answering(store, f"model {model_name}"):
            raise


def _drop_alias(store: Store, model_version: ModelVersion, alias: str) -> None:
    if _version_with_alias(store, model_version.name, alias) == model_version:
        store.client.delete_registered_model_alias(model_version.name, alias)


def _model_version(found: MlflowModelVersion) -> ModelVersion:
    return ModelVersion(
        found.name, int(found.version), found.run_id or "", (found.tags or {}).get("folds", "")
    )


def _no_scores(model_version: ModelVersion, found: str) -> ModelError:
    return ModelError(
        model_version.uri,
        expected="scores of held-out cases",
        found=found,
        remedy="train it again, or promote it with `force` and a reason",
    )


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
