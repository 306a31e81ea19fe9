"""Reads configurations from YAML and reports all mistakes with their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from slicewise.config.extensions import TRAINED
from slicewise.config.mistakes import (
    TEMPLATE,
    Kind,
    Location,
    Origin,
    aliases,
    duplicate_keys,
    expressions,
    lines,
    mistake,
    yaml_mistake,
)
from slicewise.config.overrides import UNREADABLE_YAML, apply_override
from slicewise.config.sections import Config
from slicewise.errors import ConfigError, ConfigErrors, file_problem
from slicewise.file_names import nearest_path


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read one experiment.

    Args:
        path: YAML file.
        overrides: ``section.key=value`` strings; the value is YAML.

    Raises:
        ConfigErrors: all mistakes of the file and the overrides, each with its line.
    """
    return parse_config(read_yaml(path, "configs/demo.yaml"), str(path), overrides)


def read_yaml(path: Path, example: str) -> str:
    """Read the text of a file; error messages refer to the file ``example``.

    Raises:
        ConfigErrors: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = file_problem(error) if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigErrors(
            [
                ConfigError(
                    path,
                    expected="a readable YAML file",
                    found=problem,
                    remedy=_other_path(path, example),
                )
            ]
        ) from None


def _other_path(path: Path, example: str) -> str:
    """What to do about a configuration that cannot be read."""
    return nearest_path(path, "*.y*ml") or f"give the path of a configuration, such as {example}"


def parse_config(
    text: str, origin: str, overrides: Sequence[str] = (), *, trained: bool = False
) -> Config:
    """Parse a ``Config`` from YAML text.

    Args:
        text: YAML.
        origin: names the text in messages.
        overrides: ``section.key=value`` strings.
        trained: whether the configuration is that of a trained model, whose loss and augmentations
            need not be installed for prediction.

    Raises:
        ConfigErrors: all mistakes, each with its line.
    """
    return parse_as(Config, text, origin, TEMPLATE, overrides, {TRAINED: trained})


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """A configuration with some keys set to other values.

    Args:
        config: stays as it is.
        overrides: ``section.key=value`` strings; the value is YAML.

    Raises:
        ConfigErrors: unknown keys and wrong values.
    """
    # Unset keys stay unset, because the description of a data set may set them later.
    values = config.model_dump(mode="json", exclude_unset=True)
    return _validated(values, overrides, Origin(Config, {}, config.name))


def parse_as(
    kind: type[Kind],
    text: str,
    origin: str,
    example: str,
    overrides: Sequence[str] = (),
    context: Mapping[str, bool] | None = None,
) -> Kind:
    """Parse a section from YAML text.

    Args:
        kind: class of the section at the root of the text.
        text: YAML.
        origin: names the text in messages.
        example: file that messages refer to.
        overrides: ``section.key=value`` strings.
        context: of the validation by pydantic.

    Raises:
        ConfigErrors: all mistakes, each with its line.
    """
    root, values = _composed(text, origin, example)
    mistakes = [*duplicate_keys(root, origin), *expressions(root, origin)]
    places = {location: f"{origin}:{line}" for location, line in lines(root)}
    source = Origin(kind, places, origin, example)
    return _validated(values, overrides, source, mistakes, context)


def _validated(
    values: dict[str, Any],
    overrides: Sequence[str],
    origin: Origin[Kind],
    known: Sequence[ConfigError] = (),
    context: Mapping[str, bool] | None = None,
) -> Kind:
    mistakes = list(known)
    # Another network discards the keys of the file's network, but not those of other overrides.
    for override in sorted(overrides, key=lambda text: not text.startswith("network.name=")):
        mistakes.extend(apply_override(values, override, origin.places))
    try:
        section = origin.kind.model_validate(values, context=context)
    except ValidationError as error:
        mistakes.extend(mistake(detail, origin) for detail in error.errors())
    if mistakes:
        raise ConfigErrors(mistakes)
    return section


def lines_of(text: str) -> dict[Location, int]:
    """Line of each key of a valid YAML text."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return {} if root is None else dict(lines(root))


def _composed(text: str, origin: str, example: str) -> tuple[yaml.MappingNode, dict[str, Any]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        found = list(aliases(text, origin))
        values = yaml.safe_load(text)
    except UNREADABLE_YAML as error:
        raise ConfigErrors([yaml_mistake(error, origin)]) from None
    if found:
        raise ConfigErrors(found)
    if not isinstance(root, yaml.MappingNode) or not isinstance(values, dict):
        raise ConfigErrors(
            [
                ConfigError(
                    origin,
                    expected="sections with keys, such as 'data:' and 'training:'",
                    found="an empty file" if root is None else _kind_of(values),
                    remedy=f"start from {example}",
                )
            ]
        )
    return root, values


def _kind_of(values: object) -> str:
    return "a list" if isinstance(values, list) else "a single value"
