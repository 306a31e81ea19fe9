"""The ``--set`` options of a plan in, checked; out what they set, before there is a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from pipeline.config import Config, parse_config

# What refers to the structures can be checked only when these are known.
_LATER = ("structures", "inference.postprocessing", "inference.expected_dice")
_BARE = "name: plan\ndata: {}\nnetwork: {features: [1]}\ntraining: {steps: 1}\n"


def given_config(overrides: Sequence[str]) -> Config:
    """A configuration of what was given and of defaults: enough to read the data set with.

    Raises:
        ConfigErrors: unknown keys and wrong values; said before anything is read.
    """
    early = [text for text in overrides if not _key(text).startswith(_LATER)]
    planes = [text for text in early if _key(text) == "preprocessing.plane"]
    if not planes:
        # How many spacings there must be depends on a plane that is yet to be planned.
        early = [text for text in early if _key(text) != "preprocessing.spacing_mm"]
    return parse_config(_BARE, "plan", early)


def given_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Dotted key to value, as YAML reads it; what is no YAML stays text."""
    return {_key(text): _value(text.partition("=")[2]) for text in overrides}


def _key(override: str) -> str:
    return override.partition("=")[0]


def _value(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
