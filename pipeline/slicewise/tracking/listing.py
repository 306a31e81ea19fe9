"""A registry in, a row a version of each registered model out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from slicewise.errors import ModelError
from slicewise.tracking.store import Store, answering

_AT_ONCE = 100


@dataclass(frozen=True)
class ModelRow:
    """One version.

    Attributes:
        name: of the model.
        version: its number.
        aliases: that point at it, in alphabetical order.
        dice: of its held-out cases, as it was registered; empty where it does not say.
        folds: how they were held out.
        registered: day, ISO 8601.
        run_id: of the training; empty where the registry tells none.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    dice: str
    folds: str
    registered: str
    run_id: str


def model_rows(store: Store, model_name: str | None = None) -> list[ModelRow]:
    """All versions, or those of one model, the newest of each first.

    Raises:
        ModelError: no model of that name.
        OutputError: the store refuses.
    """
    with answering(store, "the models"):
        names = _names(store)
        if model_name is not None and model_name not in names:
            raise ModelError(
                f"model {model_name}",
                expected=f"a model registered in {store.shown_uri}",
                found="none of that name",
                remedy=f"choose one of {', '.join(names)}" if names else "train a model first",
            )
        chosen = names if model_name is None else [model_name]
        return [row for name in chosen for row in _versions(store, name)]


def _names(store: Store) -> list[str]:
    names: list[str] = []
    token: str | None = None
    while True:
        page = store.client.search_registered_models(max_results=_AT_ONCE, page_token=token)
        names.extend(model.name for model in page)
        token = page.token
        if not token:
            return sorted(names)


def _versions(store: Store, name: str) -> list[ModelRow]:
    # Only this request tells the aliases.
    pointed = store.client.get_registered_model(name).aliases or {}
    quoted = name.replace("'", "''")
    found = store.client.search_model_versions(f"name='{quoted}'", max_results=10_000)
    rows = []
    for item in sorted(found, key=lambda version: -int(version.version)):
        tags, number = item.tags or {}, str(item.version)
        day = datetime.fromtimestamp(item.creation_timestamp / 1000, tz=UTC).date().isoformat()
        aliases = tuple(sorted(alias for alias, of in pointed.items() if str(of) == number))
        facts = (tags.get("dice", ""), tags.get("folds", ""), day, item.run_id or "")
        rows.append(ModelRow(name, int(number), aliases, *facts))
    return rows
