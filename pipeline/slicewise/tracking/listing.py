"""Lists runs and versions of registered models as typed rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slicewise.errors import ModelError
from slicewise.imaging.files import write_text
from slicewise.tracking.store import Store, answering

if TYPE_CHECKING:
    from mlflow.entities import Run

_MODELS_AT_ONCE, _RUNS_AT_ONCE = 100, 500


@dataclass(frozen=True)
class RunRow:
    """A tracked run.

    Attributes:
        name: of the run.
        kind: ``network``, ``baseline``, ``sweep`` or ``trial``; empty if not known.
        fold: number of its fold; empty for a run over all folds.
        status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
        dice: mean Dice of its held-out cases; None if it has none.
        started: day, ISO 8601.
        run_id: MLflow's id.
    """

    name: str
    kind: str
    fold: str
    status: str
    dice: float | None
    started: str
    run_id: str


@dataclass(frozen=True)
class ModelRow:
    """A version of a registered model.

    Attributes:
        name: of the model.
        version: its number.
        aliases: that point at it, in alphabetical order.
        dice: mean Dice of its held-out cases; None if not known.
        folds: kind of the folds that held them out; empty if not known.
        registered: day, ISO 8601.
        run_id: of its training; empty if not known.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    dice: float | None
    folds: str
    registered: str
    run_id: str


def write_rows(rows: Sequence[RunRow] | Sequence[ModelRow], path: Path) -> None:
    """Write rows as a JSON list of objects.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def run_rows(store: Store, experiment: str | None = None) -> list[RunRow]:
    """All runs, or those of one experiment, newest first.

    Raises:
        ModelError: no experiment of that name.
        OutputError: the store refuses.
    """
    return [_run_row(run) for run in reversed(all_runs(store, experiment))]


def all_runs(store: Store, experiment: str | None = None) -> list[Run]:
    """Every run of a store that is not deleted, oldest first.

    Args:
        store: that is asked.
        experiment: name of the only experiment that is asked for; None for all.

    Raises:
        ModelError: no experiment of that name.
        OutputError: the store refuses.
    """
    with answering(store, "the runs"):
        found = store.client.search_experiments()
        chosen = [item.experiment_id for item in found if experiment in (None, item.name)]
        if not chosen:
            raise ModelError(
                f"experiment {experiment}",
                expected=f"an experiment of {store.shown_uri}",
                found="no experiment of this name",
                remedy=f"choose one of {', '.join(sorted(item.name for item in found))}",
            )
        return sorted(search_runs(store, chosen), key=lambda run: int(run.info.start_time))


def search_runs(store: Store, experiments: Sequence[str], wanted: str = "") -> Iterator[Run]:
    """Runs of some experiments, page by page.

    Args:
        store: that is asked.
        experiments: their ids.
        wanted: filter in MLflow's syntax.
    """
    token: str | None = None
    while True:
        page = store.client.search_runs(
            list(experiments), wanted, max_results=_RUNS_AT_ONCE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return


def model_rows(store: Store, model_name: str | None = None) -> list[ModelRow]:
    """All versions, or those of one model, the newest of each model first.

    Raises:
        ModelError: no model of that name.
        OutputError: the store refuses.
    """
    with answering(store, "the models"):
        names = _model_names(store)
        if model_name is not None and model_name not in names:
            raise ModelError(
                f"model {model_name}",
                expected=f"a model registered in {store.shown_uri}",
                found="no model of this name",
                remedy=f"choose one of {', '.join(names)}" if names else "train a model first",
            )
        chosen = names if model_name is None else [model_name]
        return [row for name in chosen for row in _version_rows(store, name)]


def _run_row(run: Run) -> RunRow:
    tags, dice = run.data.tags, run.data.metrics.get("dice")
    return RunRow(
        name=run.info.run_name or "",
        kind=tags.get("slicewise.kind", ""),
        fold=tags.get("slicewise.fold", ""),
        status=run.info.status,
        dice=None if dice is None else float(dice),
        started=_day(run.info.start_time),
        run_id=run.info.run_id,
    )


def _model_names(store: Store) -> list[str]:
    names: list[str] = []
    token: str | None = None
    while True:
        page = store.client.search_registered_models(max_results=_MODELS_AT_ONCE, page_token=token)
        names.extend(model.name for model in page)
        token = page.token
        if not token:
            return sorted(names)


def _version_rows(store: Store, name: str) -> list[ModelRow]:
    # Only this request returns the aliases.
    pointed = store.client.get_registered_model(name).aliases or {}
    quoted = name.replace("'", "''")
    found = store.client.search_model_versions(f"name='{quoted}'", max_results=10_000)
    rows = []
    for item in sorted(found, key=lambda version: -int(version.version)):
        tags, number = item.tags or {}, str(item.version)
        aliases = tuple(sorted(alias for alias, of in pointed.items() if str(of) == number))
        row = ModelRow(
            name=name,
            version=int(number),
            aliases=aliases,
            dice=_number(tags.get("dice", "")),
            folds=tags.get("folds", ""),
            registered=_day(item.creation_timestamp),
            run_id=item.run_id or "",
        )
        rows.append(row)
    return rows


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _day(milliseconds: int) -> str:
    """The day of a time in milliseconds since 1970, ISO 8601."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).date().isoformat()
