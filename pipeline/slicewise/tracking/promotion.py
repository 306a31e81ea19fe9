"""A version of a registered model in; out its rivals, their scores, and the alias that it earns.

Aliases alone say who is what: ``champion`` predicts, ``previous`` was champion before, and
``challenger`` waits. They are written in an order that leaves no moment without a champion, and
that a second call completes after a crash.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.config import TrackingSection
from slicewise.errors import ModelError
from slicewise.evaluation.results import SCORES
from slicewise.evaluation.scores import Score, read_scores
from slicewise.tracking.registry import CHALLENGER, CHAMPION, PREVIOUS
from slicewise.tracking.resolving import find_version
from slicewise.tracking.spool.spool import known_id
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
        run_id: of the training that it comes from; empty where the registry tells none.
        folds: how the folds of its scores were made; empty where it does not say.
    """

    name: str
    version: int
    run_id: str
    folds: str

    @property
    def uri(self) -> str:
        """Address that always means this version."""
        return f"models:/{self.name}/{self.version}"


def find_model_version(store: Store, text: str, model_name: str | None = None) -> ModelVersion:
    """The version that a user means.

    Args:
        store: that keeps it.
        text: ``models:/name@alias``, ``models:/name/3``, or the id of a run.
        model_name: which of the models that a run has registered.

    Raises:
        ModelError: there is no such version, or several.
        OutputError: the store refuses.
    """
    if text.startswith("models:/"):
        return _model_version(find_version(store, text))
    text = known_id(store, text)
    with answering(store, f"run {text}"):
        found = list(store.client.search_model_versions(f"run_id='{text}'"))
    versions = [item for item in found if model_name in (None, item.name)]
    names = sorted({item.name for item in versions})
    if len(names) != 1:
        raise ModelError(
            f"run {text}",
            expected="a run that registered one model",
            found=", ".join(names) or "none",
            remedy="name one with --model" if names else "let the training come to its end",
        )
    return _model_version(max(versions, key=lambda item: int(item.version)))


def champion_of(store: Store, model_name: str) -> ModelVersion | None:
    """The reigning version; None where there is none.

    Raises:
        OutputError: the store refuses.
    """
    return _holder(store, model_name, CHAMPION)


def scores_of(store: Store, model_version: ModelVersion) -> list[Score]:
    """The scores of the held-out cases of the run behind a version.

    Raises:
        ModelError: the version has no run, or the run keeps no scores.
        DataError: they are damaged.
    """
    from mlflow.exceptions import MlflowException

    if not model_version.run_id:
        raise _no_scores(model_version, "no run that it comes from")
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = store.client.download_artifacts(model_version.run_id, SCORES, folder)
        except (MlflowException, OSError) as error:
            raise _no_scores(model_version, f"no {SCORES} in run {model_version.run_id}") from error
        return read_scores(Path(path))


def margin_of(store: Store, model_version: ModelVersion) -> float:
    """The margin that the configuration of a version's run names.

    Raises:
        OutputError: the store refuses.
    """
    default = TrackingSection().promotion_margin
    if not model_version.run_id:
        return default
    with answering(store, f"run {model_version.run_id}"):
        parameters = store.client.get_run(model_version.run_id).data.params
    # Runs of earlier versions have no such key, and their configurations meant the default.
    return float(parameters.get(_MARGIN, default))


def promote(
    store: Store,
    challenger: ModelVersion,
    champion: ModelVersion | None,
    evidence: Mapping[str, str],
) -> None:
    """Make a version the champion, and the former one ``previous``.

    Args:
        store: that keeps both.
        challenger: new champion.
        champion: former one, if any.
        evidence: facts that stay with the version as tags; without time and predecessor.

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
    """Complete a promotion that a crash broke off: a champion is no challenger.

    Raises:
        OutputError: the store refuses.
    """
    with answering(store, champion.uri):
        _drop_alias(store, champion, CHALLENGER)


def roll_back(store: Store, model_name: str, reason: str) -> tuple[ModelVersion, ModelVersion]:
    """Make the previous champion champion again.

    Args:
        store: that keeps the model.
        model_name: registered model.
        reason: stays with the version that loses the alias.

    Returns:
        The version that lost the alias, and the one that has it now.

    Raises:
        ModelError: there is no such model, or no previous champion.
        OutputError: the store refuses.
    """
    former, now = _holder(store, model_name, CHAMPION), _holder(store, model_name, PREVIOUS)
    if former is None or now is None or former == now:
        raise ModelError(
            f"model {model_name}",
            expected=f"a version with the alias {PREVIOUS}: the champion before",
            found="none",
            remedy="see `slicewise models`; promote a version with `slicewise promote`",
        )
    with answering(store, former.uri):
        for key, value in {"rolled_back_at": _now(), "rolled_back_because": reason}.items():
            store.client.set_model_version_tag(model_name, str(former.version), key, value)
        store.client.set_registered_model_alias(model_name, CHAMPION, str(now.version))
        _drop_alias(store, now, PREVIOUS)
    return former, now


def _holder(store: Store, model_name: str, alias: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return _model_version(store.client.get_model_version_by_alias(model_name, alias))
    except MlflowException as error:
        # A missing alias is an invalid parameter to one store, and not found to another.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        with answering(store, f"model {model_name}"):
            raise


def _drop_alias(store: Store, model_version: ModelVersion, alias: str) -> None:
    if _holder(store, model_version.name, alias) == model_version:
        store.client.delete_registered_model_alias(model_version.name, alias)


def _model_version(found: MlflowModelVersion) -> ModelVersion:
    return ModelVersion(
        found.name, int(found.version), found.run_id or "", (found.tags or {}).get("folds", "")
    )


def _no_scores(model_version: ModelVersion, found: str) -> ModelError:
    return ModelError(
        model_version.uri,
        expected="scores of held-out cases to compare",
        found=found,
        remedy="train it again, or promote with --force and a reason",
    )


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
