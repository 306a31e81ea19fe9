"""Turns the options that errors of use cases name into flags of the command line."""

from __future__ import annotations

import os
import re
import sys

CLUSTER_VARIABLE = "SLICEWISE_CLUSTER"
"""The variable that stands for the option ``--cluster``."""

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
    """Replace `` `out_of_fold` `` by ``--out-of-fold``, and so on; other words stay.

    Where a variable has given the option, its name stands in the first line, which says where a
    mistake is.
    """

    def flag(found: re.Match[str]) -> str:
        name = found[1]
        if name not in _OPTIONS:
            return found[0]
        if name in ("workers", "cluster") and "\n" not in text[: found.start()] and _by_variable():
            return CLUSTER_VARIABLE
        return _OTHER_NAMES.get(name, "--" + name.replace("_", "-"))

    return _NAMED.sub(flag, text)


def _by_variable() -> bool:
    """Whether not the command line but the variable says who works on scans."""
    given = {argument.partition("=")[0] for argument in sys.argv[1:]}
    return bool(os.environ.get(CLUSTER_VARIABLE)) and given.isdisjoint(("--workers", "--cluster"))
