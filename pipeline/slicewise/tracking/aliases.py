"""The aliases of the versions of a registered model, and which one a new version gets."""

from __future__ import annotations

from filelock import FileLock

from slicewise.tracking.store import Store

CHAMPION = "champion"
"""Alias of the version in use."""
CHALLENGER = "challenger"
"""Alias of the newest version, which has not been compared with the champion yet."""
PREVIOUS = "previous"
"""Alias of the former champion."""


def ensure_alias(store: Store, model_name: str, number: int) -> str:
    """Give the newest version an alias, unless it has one; returns it, empty without one.

    Of two first trainings that end at once, the first to come here is the champion.
    """
    with FileLock(store.folder / "aliases.lock"):
        aliases = store.client.get_registered_model(model_name).aliases
        for alias, known in aliases.items():
            if int(known) == number:
                return str(alias)
        quoted = model_name.replace("'", "''")
        versions = store.client.search_model_versions(f"name='{quoted}'")
        if CHAMPION in aliases and max(int(item.version) for item in versions) > number:
            return ""
        alias = CHALLENGER if CHAMPION in aliases else CHAMPION
        store.client.set_registered_model_alias(model_name, alias, str(number))
        return alias
