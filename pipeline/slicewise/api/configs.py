"""Configurations as callers give them: read already, or the path of a YAML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from slicewise.config import Config, load_config, with_overrides

AnyPath = str | os.PathLike[str]
ConfigLike = Config | AnyPath
"""A configuration, or the path of a YAML file that holds one."""


def as_config(config: ConfigLike, settings: Sequence[str] = ()) -> Config:
    """The configuration with some keys changed.

    Args:
        config: a configuration, or the path of a YAML file.
        settings: changes, such as ``training.steps=100``.

    Raises:
        ConfigErrors: the file is missing, or keys or values are wrong; all mistakes at once.
    """
    if isinstance(config, Config):
        return with_overrides(config, settings) if settings else config
    return load_config(Path(config), settings)


def file_of(config: ConfigLike) -> Path | None:
    """The file that holds a configuration; None for one that was made in Python."""
    return None if isinstance(config, Config) else Path(config)


def optional_path(path: AnyPath | None) -> Path | None:
    """A path, where one is given."""
    return None if path is None else Path(path)
