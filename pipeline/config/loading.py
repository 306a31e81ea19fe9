"""YAML with line numbers in, a ``Config`` or all of its mistakes out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config.data_sections import FOLD_KINDS
from pipeline.config.sections import Config
from pipeline.errors import ConfigError, ConfigErrors, file_problem

Location = tuple[str | int, ...]
Kind = TypeVar("Kind", bound=BaseModel)
_TEMPLATE = "configs/template.yaml"


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
    """The text of a file; ``example`` is one that messages point to.

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
                    remedy=f"give the path of a configuration, such as {example}",
                )
            ]
        ) from None


def parse_config(text: str, origin: str, overrides: Sequence[str] = ()) -> Config:
    """Turn YAML text into a ``Config``; ``origin`` names the text in messages."""
    return parse_as(Config, text, origin, _TEMPLATE, overrides)


def parse_as(
    kind: type[Kind], text: str, origin: str, example: str, overrides: Sequence[str] = ()
) -> Kind:
    """Turn YAML text into a section.

    Args:
        kind: section at the root of the text.
        text: YAML.
        origin: names the text in messages.
        example: file that messages point to.
        overrides: ``section.key=value`` strings.

    Raises:
        ConfigErrors: all mistakes, each with its line.
    """
    root, values = _composed(text, origin, example)
    mistakes = [*_duplicate_keys(root, origin), *_expressions(root, origin)]
    places = {location: f"{origin}:{line}" for location, line in _lines(root)}
    for override in overrides:
        mistakes.extend(_apply(values, override, places))
    try:
        section = kind.model_validate(values)
    except ValidationError as error:
        found = _Origin(kind, places, origin, example)
        mistakes.extend(_mistake(detail, found) for detail in error.errors())
    if mistakes:
        raise ConfigErrors(mistakes)
    return section


def lines_of(text: str) -> dict[Location, int]:
    """Where each key of a YAML text stands; the text has been parsed before."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return {} if root is None else dict(_lines(root))


def _composed(text: str, origin: str, example: str) -> tuple[yaml.MappingNode, dict[str, Any]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        aliases = list(_aliases(text, origin))
        values = yaml.safe_load(text)
    except _UNREADABLE as error:
        raise ConfigErrors([_yaml_mistake(error, origin)]) from None
    if aliases:
        raise ConfigErrors(aliases)
    if not isinstance(root, yaml.MappingNode) or not isinstance(values, dict):
        raise ConfigErrors(
            [
                ConfigError(
                    origin,
                    expected="sections with keys, such as 'data:' and 'training:'",
                    found="no mapping",
                    remedy=f"start from {example}",
                )
            ]
        )
    return root, values


def as_yaml(config: Config) -> str:
    """The complete configuration as YAML that ``parse_config`` reads back unchanged."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def without_places(config: Config) -> Config:
    """The configuration without folders of this machine, which say nothing about a model."""
    data = config.data
    folds = data.folds if data.folds in FOLD_KINDS else Path(data.folds).name
    data = data.model_copy(update={"root": None, "folds": folds})
    return config.model_copy(update={"data": data})


def override_value(key: str, text: str) -> Any:
    """What ``--set key=text`` means: YAML, or the text itself where the key holds text."""
    # A folder may be called 2024-01-15 or off; YAML would take that for a date or a switch.
    if _is_text(tuple(key.split("."))) and text != "null":
        return text
    try:
        return yaml.safe_load(text)
    except _UNREADABLE:
        # A path such as `a: b` is no YAML; as plain text it is meant as it stands.
        return text


def flatten(config: Config) -> dict[str, str]:
    """``section.key`` to value, for tracking."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), item)
        else:
            flat[prefix] = str(value)

    walk("", config.model_dump(mode="json"))
    return flat


# Impossible dates and brackets nested without end are no YAMLError, but no YAML either.
_UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)


def _aliases(text: str, origin: str) -> Iterator[ConfigError]:
    """A few lines of aliases may stand for billions of values, or contain themselves."""
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            yield ConfigError(
                f"{origin}:{token.start_mark.line + 1}",
                expected="a plain value",
                found=f"the alias *{token.value}",
                remedy="write the value itself",
            )


def _yaml_mistake(error: Exception, origin: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    where = origin if mark is None else f"{origin}:{mark.line + 1}"
    return ConfigError(
        where,
        expected="plain YAML",
        found=str(getattr(error, "problem", None) or error),
        remedy="correct the line; Python objects are never loaded",
    )


def _lines(node: yaml.Node, location: Location = ()) -> Iterator[tuple[Location, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*location, key.value)
            yield here, key.start_mark.line + 1
            yield from _lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*location, index), value.start_mark.line + 1
            yield from _lines(value, (*location, index))


def _duplicate_keys(root: yaml.Node, origin: str) -> Iterator[ConfigError]:
    seen: dict[Location, int] = {}
    for location, line in _lines(root):
        if location in seen:
            yield ConfigError(
                f"{origin}:{line}: {_dotted(location)}",
                expected="each key once",
                found=f"the key stands in line {seen[location]} already",
                remedy="keep one of the two",
            )
        seen[location] = line


def _expressions(
    node: yaml.Node | None, origin: str, location: Location = ()
) -> Iterator[ConfigError]:
    """Values that other tools would evaluate are refused, not carried along as text."""
    if isinstance(node, yaml.ScalarNode):
        if _is_expression(node.value):
            yield _expression(
                f"{origin}:{node.start_mark.line + 1}: {_dotted(location)}", node.value
            )
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _expressions(value, origin, (*location, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _expressions(value, origin, (*location, index))


def _is_expression(text: str) -> bool:
    return text.startswith("$") or "${" in text


def _expression(where: str, found: str) -> ConfigError:
    return ConfigError(
        where,
        expected="a plain value",
        found=f"the expression {found!r}",
        remedy="write the value itself; nothing in a configuration is evaluated",
    )


def _apply(
    values: dict[str, Any], override: str, places: dict[Location, str]
) -> Iterator[ConfigError]:
    key, separator, text = override.partition("=")
    where = f"--set {override}"
    if not separator or not key:
        yield ConfigError(
            where,
            expected="section.key=value",
            found="no '=' after a key",
            remedy="for example --set training.epochs=5",
        )
        return
    if _is_expression(text):
        yield _expression(where, text)
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
    target[str(location[-1])] = value
    if location[0] == "training" and location[-1] in _BUDGETS and value is not None:
        # The budget on the command line replaces the one in the file.
        for other in _BUDGETS - {str(location[-1])}:
            target.pop(other, None)
    for end in range(1, len(location)):
        # A section that the file does not have is a mistake of the option.
        places.setdefault(location[:end], where)
    places[location] = where


def _is_text(location: Location) -> bool:
    """Whether a key holds text or a path, which is taken as it stands."""
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


_BUDGETS = {"epochs", "budget_minutes", "steps"}


def _dotted(location: Location) -> str:
    return ".".join(str(part) for part in location)


class _Origin(NamedTuple):
    """What a mistake is told about: the section at the root, lines, file, and an example of it."""

    kind: type[BaseModel]
    places: dict[Location, str]
    name: str
    example: str


def _mistake(detail: Any, origin: _Origin) -> ConfigError:
    location: Location = tuple(detail["loc"])
    places = origin.places
    nearest = next(
        (places[location[:end]] for end in range(len(location), 0, -1) if location[:end] in places),
        origin.name,
    )
    where = nearest if nearest.startswith("--set") else f"{nearest}: {_dotted(location)}"
    if detail["type"] == "extra_forbidden":
        return ConfigError(
            where,
            expected=f"a known key of {_dotted(location[:-1]) or 'the configuration'}",
            found=repr(location[-1]),
            remedy=_suggestion(location, origin.kind),
        )
    if detail["type"] == "missing":
        return ConfigError(
            f"{nearest}: {_dotted(location)}",
            expected="this key",
            found="nothing",
            remedy=f"add it; {origin.example} shows every key",
        )
    return ConfigError(
        where,
        expected=detail["msg"].removeprefix("Value error, "),
        found=_shortened(detail["input"]),
        remedy=f"correct the value; {origin.example} explains every key",
    )


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _suggestion(location: Location, kind: type[BaseModel]) -> str:
    section = kind
    for part in location[:-1]:
        field = section.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        section = annotation
    known = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"the keys are {', '.join(known)}"
