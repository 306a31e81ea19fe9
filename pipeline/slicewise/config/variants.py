"""Variants of a configuration for ablation studies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from slicewise.config.base import NAME
from slicewise.errors import ConfigError, file_problem
from slicewise.file_names import nearest_path

BASE = "base"
"""Name of the unchanged configuration."""


@dataclass(frozen=True)
class Variants:
    """The variants of a configuration.

    Attributes:
        changes: variant to its settings, ``section.key=value``.
        ensembles: name to the variants whose networks are an ensemble.
    """

    changes: Mapping[str, tuple[str, ...]]
    ensembles: Mapping[str, tuple[str, ...]]


def read_variants(path: Path) -> Variants:
    """Read the variants of a file, and add the unchanged configuration.

    Raises:
        ConfigError: the file is missing or invalid.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(path, file_problem(error)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(path, str(error).splitlines()[0]) from error
    if not isinstance(content, dict) or not set(content) <= {"variants", "ensembles"}:
        raise _unreadable(path, "other keys")
    variants, ensembles = _lists(content, "variants", path), _lists(content, "ensembles", path)
    if BASE in variants:
        raise _unreadable(path, f"settings of {BASE}, which is the unchanged configuration")
    changes = {BASE: (), **variants}
    for name, members in ensembles.items():
        if not members:
            raise _unreadable(path, f"ensemble {name} without members")
        if unknown := [member for member in members if member not in changes]:
            raise _unreadable(path, f"ensemble {name} of {', '.join(unknown)}, no variants")
        if name in changes:
            raise _unreadable(path, f"{name} twice")
    return Variants(changes, ensembles)


def _lists(content: Mapping[str, object], key: str, path: Path) -> dict[str, tuple[str, ...]]:
    entries = content.get(key) or {}
    if isinstance(entries, dict) and all(
        isinstance(items, list) and all(isinstance(item, str) for item in items)
        for items in entries.values()
    ):
        named = {str(name): tuple(items) for name, items in entries.items()}
        if foreign := [name for name in named if not re.match(NAME, name)]:
            raise _unreadable(
                path, f"{', '.join(foreign)}, which are not valid as names of folders"
            )
        return named
    raise _unreadable(path, f"{key} that are not lists of texts by name")


def _unreadable(path: Path, found: str) -> ConfigError:
    return ConfigError(
        str(path),
        expected="variants: {name: [key=value, ...]}, and ensembles: {name: [variant, ...]}",
        found=found,
        remedy=nearest_path(path, "*.y*ml") or "see configs/ablations/hippocampus.yaml",
    )
