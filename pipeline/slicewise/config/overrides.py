"""Overrides of single keys, such as ``--set training.steps=500``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel

from slicewise.config.mistakes import OVERRIDES, Location, expression, is_expression
from slicewise.config.sections import Config
from slicewise.config.training_sections import BUDGETS, UNET, UNET_KEYS
from slicewise.errors import ConfigError

# Impossible dates raise ValueError, and deeply nested brackets RecursionError.
UNREADABLE_YAML = (yaml.YAMLError, ValueError, RecursionError)


def override_value(key: str, text: str) -> Any:
    """Value of the override ``key=text``: YAML, or the text itself where the key holds text."""
    # A folder may be called 2024-01-15 or off, which YAML reads as a date or a boolean.
    if _is_text(tuple(key.split("."))) and text != "null":
        return text
    try:
        return yaml.safe_load(text)
    except UNREADABLE_YAML:
        # A path such as `a: b` is not valid YAML.
        return text


def apply_override(
    values: dict[str, Any], override: str, places: dict[Location, str]
) -> Iterator[ConfigError]:
    """Set a key in the values of a file; yields what is wrong with the override.

    Args:
        values: sections with their keys; changed in place.
        override: ``section.key=value``.
        places: where each key was set; changed in place.
    """
    key, separator, text = override.partition("=")
    where = f"{OVERRIDES} {override}"
    if not separator or not key:
        yield ConfigError(
            where,
            expected="section.key=value",
            found="no '=' after a key",
            remedy="write for example training.steps=500",
        )
        return
    if is_expression(text):
        yield expression(where, text)
        return
    value = override_value(key, text)
    location: Location = tuple(key.split("."))
    target = values
    for part in location[:-1]:
        nested = target.setdefault(str(part), {})
        if not isinstance(nested, dict):
            yield ConfigError(
                where,
                expected="a section before the last dot",
                found=f"{part!r} is a single value",
                remedy="see the sections in configs/template.yaml",
            )
            return
        target = nested
    if location == ("network", "name") and target.get("name", UNET) != value:
        for other in (*UNET_KEYS, "options"):
            target.pop(other, None)
    target[str(location[-1])] = value
    if location[0] == "training" and location[-1] in BUDGETS and value is not None:
        # A budget in an override replaces the one in the file.
        for other in {*BUDGETS, "recorded"} - {str(location[-1])}:
            target.pop(other, None)
    for end in range(1, len(location)):
        # Errors about a section that is absent from the file refer to the override.
        places.setdefault(location[:end], where)
    places[location] = where


def _is_text(location: Location) -> bool:
    """Whether a key holds text or a path, which is not parsed as YAML."""
    section: type[BaseModel] = Config
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        if field is None or not _is_section(field.annotation):
            return False
        section = cast(type[BaseModel], field.annotation)
    field = section.model_fields.get(str(location[-1]))
    return field is not None and field.annotation in (str, Path, str | None, Path | None)


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
