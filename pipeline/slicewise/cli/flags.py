"""Turns the options that errors of use cases name into flags of the command line."""

from __future__ import annotations

import re

_OTHER_NAMES = {
    "settings": "--set",
    "initial": "--from",
    "budget_minutes": "--budget",
    "model": "MODEL",
    "source": "INPUT",
    "everything": "--all",
    "model_name": "--model",
    "move_aliases": "--aliases",
    "masks": "MASKS",
    "run": "RUN",
    "inner_fold": "--inner",
}
_NAMED = re.compile(r"`([a-z_]+)`")
_OPTIONS = frozenset(
    (
        *_OTHER_NAMES,
        *("out", "work", "fold", "resume", "overwrite", "workers", "cluster"),
        *("devices", "parallel", "only"),
        *("also", "out_of_fold"),
        *("endpoint", "format", "identity", "probabilities", "uncertainty", "data", "baseline"),
        *("against", "reason", "force", "seeds", "html", "json", "allow_paths", "config"),
        *("host", "port", "attach", "metric", "name", "subjects", "refuse_unlike"),
    )
)


def with_flags(text: str) -> str:
    """Replace `` `out_of_fold` `` by ``--out-of-fold``, and so on; other words stay."""

    def flag(found: re.Match[str]) -> str:
        name = found[1]
        if name not in _OPTIONS:
            return found[0]
        return _OTHER_NAMES.get(name, "--" + name.replace("_", "-"))

    return _NAMED.sub(flag, text)
