"""Reads configurations from YAML and reports all mistakes with their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError

from slicewise.config.data_sections import FOLD_KINDS
from slicewise.config.extensions import TRAINED
from slicewise.config.mistakes import (
    OVERRIDES,
    TEMPLATE,
    Kind,
    Location,
    Origin,
    aliases,
    duplicate_keys,
    expression,
    expressions,
    is_expression,
    lines,
    mistake,
    yaml_mistake,
)
from slicewise.config.sections import Config
from slicewise.config.training_sections import BUDGETS, UNET, UNET_KEYS
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
        mistakes.extend(_apply(values, override, origin.places))
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
    except _UNREADABLE as error:
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


def as_yaml(config: Config) -> str:
    """The complete configuration as YAML that ``parse_config`` reads back unchanged."""
    values = config.model_dump(mode="json")
    if config.training.recorded is not None:
        recorded = values["training"]["recorded"]
        values["training"]["recorded"] = {key: _OnFewLines(rows) for key, rows in recorded.items()}
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False)


class _OnFewLines(list[Any]):
    """Rows of numbers, hundreds of them."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _OnFewLines,
    lambda dumper, rows: dumper.represent_sequence("tag:yaml.org,2002:seq", rows, flow_style=True),
)


def without_places(config: Config) -> Config:
    """The configuration without paths of this machine, which do not describe a model."""
    data = config.data
    folds = data.folds if data.folds in FOLD_KINDS else Path(data.folds).name
    data = data.model_copy(update={"root": None, "folds": folds})
    return config.model_copy(update={"data": data})


def text_without_places(path: Path, config: Config) -> str:
    """The text of a configuration file without paths of this machine; comments are kept.

    Args:
        path: of the file.
        config: read from the file; an override may name another folder than the file does.
    """
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    values = {
        location: node for location, node in _scalars(root) if location in _PLACES and node.value
    }
    places = {node.value for node in values.values()} | {str(config.data.root), config.data.folds}
    # From the end of the text, so that the earlier places stay where they are.
    for location, node in sorted(values.items(), key=lambda item: -item[1].start_mark.index):
        shown = _PLACES[location](node.value)
        text = text[: node.start_mark.index] + shown + text[node.end_mark.index :]
    # Comments may name them as well.
    for place in sorted(places - {"None", *FOLD_KINDS}, key=len, reverse=True):
        text = text.replace(place, Path(place).name)
    return text


def _scalars(
    node: yaml.Node | None, location: Location = ()
) -> Iterator[tuple[Location, yaml.ScalarNode]]:
    """The single values of a YAML text with their keys."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(value, (*location, key.value))
    elif isinstance(node, yaml.ScalarNode):
        yield location, node


def _split_name(folds: str) -> str:
    return folds if folds in FOLD_KINDS else yaml.safe_dump(Path(folds).name).splitlines()[0]


_PLACES: dict[Location, Callable[[str], str]] = {
    ("data", "root"): lambda _: "null",
    ("data", "folds"): _split_name,
}
"""Keys that may name a folder of this machine, and what is shared of their values."""


def override_value(key: str, text: str) -> Any:
    """Value of the override ``key=text``: YAML, or the text itself where the key holds text."""
    # A folder may be called 2024-01-15 or off, which YAML reads as a date or a boolean.
    if _is_text(tuple(key.split("."))) and text != "null":
        return text
    try:
        return yaml.safe_load(text)
    except _UNREADABLE:
        # A path such as `a: b` is not valid YAML.
        return text


def flatten(config: Config) -> dict[str, str]:
    """Values by ``section.key``, for tracking."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), item)
        else:
            flat[prefix] = str(value)

    walk("", config.model_dump(mode="json"))
    return flat


# Impossible dates raise ValueError, and deeply nested brackets RecursionError.
_UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)


def _apply(
    values: dict[str, Any], override: str, places: dict[Location, str]
) -> Iterator[ConfigError]:
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
