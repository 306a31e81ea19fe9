"""The overrides of a plan, checked before there is a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slicewise.config import Config, override_value, with_overrides

# What refers to the structures can be checked only when these are known.
_CHECKED_LATER = (
    "structures",
    "inference.slice_exclusive",
    "inference.postprocessing",
    "inference.dice_prediction",
)


def overridden_config(overrides: Sequence[str]) -> Config:
    """A configuration of the overrides and of defaults: enough to read the data set with.

    Raises:
        ConfigErrors: unknown keys and wrong values.
    """
    early = [text for text in overrides if not _key(text).startswith(_CHECKED_LATER)]
    given = overridden_values(early)
    spacing_mm = given.get("preprocessing.spacing_mm")
    if "preprocessing.plane" not in given and isinstance(spacing_mm, list) and len(spacing_mm) == 3:
        # Two are of slices of any plane; three want all planes, and the plan follows them.
        early.append("preprocessing.plane=all")
    # A single level, so that any window is wide enough.
    return with_overrides(Config.defaults("plan", network={"features": [1]}), early)


def overridden_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted key to value, as a configuration would hold it."""
    pairs = (text.partition("=") for text in overrides)
    return {key: override_value(key, value) for key, _, value in pairs}


def _key(override: str) -> str:
    return override.partition("=")[0]
