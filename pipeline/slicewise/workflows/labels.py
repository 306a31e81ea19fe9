"""Refuses configurations that name no structure."""

from __future__ import annotations

from slicewise.config import Config
from slicewise.errors import ConfigError


def require_labels(config: Config) -> None:
    """Refuse a configuration that names no structure.

    Raises:
        ConfigError: ``data.labels`` is empty.
    """
    if not config.data.labels:
        raise ConfigError(
            "data.labels",
            expected="at least one structure with its value",
            found="none",
            remedy="for example: labels: {lesion: 1}",
        )
