"""Mistakes in configurations, described with the line, the key and a remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel

from slicewise.errors import ConfigError, did_you_mean

Kind = TypeVar("Kind", bound=BaseModel)
Location = tuple[str | int, ...]
TEMPLATE = "configs/template.yaml"
OVERRIDES = "`settings`"
"""How messages refer to overrides."""


def aliases(text: str, origin: str) -> Iterator[ConfigError]:
    """Aliases, which can be recursive or expand to billions of values."""
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, yaml.AliasToken):
            yield ConfigError(
                f"{origin}:{token.start_mark.line + 1}",
                expected="a plain value",
                found=f"the alias *{token.value}",
                remedy="write the value itself",
            )


def yaml_mistake(error: Exception, origin: str) -> ConfigError:
    """The error for a text that is not valid YAML."""
    mark = getattr(error, "problem_mark", None)
    where = origin if mark is None else f"{origin}:{mark.line + 1}"
    return ConfigError(
        where,
        expected="valid YAML",
        found=str(getattr(error, "problem", None) or error),
        remedy="correct the line; Python objects are never loaded",
    )


def lines(node: yaml.Node, location: Location = ()) -> Iterator[tuple[Location, int]]:
    """Line of each key of a node, nested keys included."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*location, key.value)
            yield here, key.start_mark.line + 1
            yield from lines(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*location, index), value.start_mark.line + 1
            yield from lines(value, (*location, index))


def duplicate_keys(root: yaml.Node, origin: str) -> Iterator[ConfigError]:
    """Duplicate keys, of which YAML would silently use the last."""
    seen: dict[Location, int] = {}
    for location, line in lines(root):
        if location in seen:
            yield ConfigError(
                f"{origin}:{line}: {dotted(location)}",
                expected="each key once",
                found=f"the same key in line {seen[location]}",
                remedy="keep one of the two",
            )
        seen[location] = line


def expressions(
    node: yaml.Node | None, origin: str, location: Location = ()
) -> Iterator[ConfigError]:
    """Values with expressions, which other tools would evaluate; they are refused."""
    if isinstance(node, yaml.ScalarNode):
        if is_expression(node.value):
            yield expression(f"{origin}:{node.start_mark.line + 1}: {dotted(location)}", node.value)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from expressions(value, origin, (*location, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from expressions(value, origin, (*location, index))


def is_expression(text: str) -> bool:
    """Whether other tools would evaluate a text."""
    return text.startswith("$") or "${" in text


def expression(where: str, found: str) -> ConfigError:
    """The error for a value that other tools would evaluate."""
    return ConfigError(
        where,
        expected="a plain value",
        found=f"the expression {found!r}",
        remedy="write the value itself; nothing in a configuration is evaluated",
    )


def dotted(location: Location) -> str:
    """A key in dotted notation."""
    return ".".join(str(part) for part in location)


class Origin(NamedTuple, Generic[Kind]):
    """Where values come from, for messages about them.

    Attributes:
        kind: section at the root.
        places: location of each key to its file and line.
        name: of the file.
        example: file that shows every key.
    """

    kind: type[Kind]
    places: dict[Location, str]
    name: str
    example: str = TEMPLATE


def mistake(detail: Any, origin: Origin[Kind]) -> ConfigError:
    """The error for a value that pydantic refuses, with its line."""
    location: Location = tuple(detail["loc"])
    places = origin.places
    nearest = next(
        (places[location[:end]] for end in range(len(location), 0, -1) if location[:end] in places),
        origin.name,
    )
    is_named = nearest.startswith(OVERRIDES) or not location
    where = nearest if is_named else f"{nearest}: {dotted(location)}"
    if detail["type"] == "extra_forbidden":
        return ConfigError(
            where,
            expected=f"a known key of {dotted(location[:-1]) or 'the configuration'}",
            found=repr(location[-1]),
            remedy=_suggestion(location, origin.kind),
        )
    if detail["type"] == "missing" and isinstance(location[-1], int):
        return ConfigError(
            where,
            expected=f"a list of more values than {location[-1]}",
            found=_found(detail["input"], location, origin.kind),
            remedy=f"add what is missing; {origin.example} explains every key",
        )
    if detail["type"] == "missing":
        return ConfigError(
            f"{nearest}: {dotted(location)}",
            expected="a value",
            found="no such key",
            remedy=f"add it; {origin.example} shows every key",
        )
    context = detail.get("ctx", {})
    found = context.get("found") or getattr(context.get("error"), "found", None)
    return ConfigError(
        where,
        expected=_expected(detail),
        found=found or _found(detail["input"], location, origin.kind),
        remedy=context.get("remedy")
        or _nearest_choice(detail)
        or f"correct the value; {origin.example} explains every key",
    )


def _nearest_choice(detail: Any) -> str:
    """The choice that a mistyped value resembles; empty if there is none."""
    if detail["type"] != "literal_error":
        return ""
    choices = re.findall(r"'([^']*)'", detail["msg"])
    return did_you_mean(str(detail["input"]), choices)


def _expected(detail: Any) -> str:
    value = detail["input"]
    if detail["type"] == "tuple_type" and isinstance(value, str | int | float):
        parts = (part.strip() for part in str(value).split(","))
        return f"a list, such as [{', '.join(parts)}]"
    return in_words(detail)


_OF_KINDS = (
    (("int_",), "a whole number"),
    (("float_",), "a number"),
    (("bool_",), "true or false"),
    (("string_type", "string_too_short"), "text, not an empty one"),
    (("dict_", "model_", "mapping_"), "keys with their values, such as {key: value}"),
    (("tuple_type", "list_type"), "a list, such as [a, b]"),
    (("string_pattern",), "letters, digits, dots, dashes and underscores, a letter or digit first"),
)
"""Beginnings of pydantic's kinds of mistakes, and what was expected then."""


def in_words(detail: Any) -> str:
    """What pydantic expected of a value, without its names of types.

    Args:
        detail: of one mistake, from ``ValidationError.errors()``.
    """
    for beginnings, words in _OF_KINDS:
        if detail["type"].startswith(beginnings):
            return words
    message: str = detail["msg"]
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    message = message.removesuffix(" after validation")
    for kind, word in (("Tuple", "a list"), ("List", "a list"), ("Dictionary", "a section")):
        message = re.sub(rf"^{kind} should have", f"{word} with", message)
    return message.replace(" after validation, not ", ", not ")


def _found(value: object, location: Location, kind: type[BaseModel]) -> str:
    if isinstance(value, dict) and len(_sections(location, kind)) > len(location):
        return "values that contradict each other"  # The message names their keys.
    text = as_written(value)
    return text if len(text) <= 80 else text[:77] + "..."


def as_written(value: object) -> str:
    """A value as a person writes it into a configuration; text is quoted."""
    if value is None:
        return "no value"
    if isinstance(value, str):
        return f"'{value}'"
    written = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return written.removesuffix("...\n").strip()


def _sections(location: Location, kind: type[BaseModel]) -> list[type[BaseModel]]:
    """The section at the root and those along a location."""
    found = [kind]
    for part in location:
        field = found[-1].model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        found.append(annotation)
    return found


def _suggestion(location: Location, kind: type[BaseModel]) -> str:
    known = list(_sections(location[:-1], kind)[-1].model_fields)
    name = str(location[-1])
    elsewhere = [
        f"{section}.{name}" for section in kind.model_fields if name in _keys_of(section, kind)
    ]
    if len(elsewhere) == 1:
        return f"this key belongs to another section: {elsewhere[0]}"
    return did_you_mean(name, known) or f"the keys are {', '.join(known)}"


def _keys_of(section: str, kind: type[BaseModel]) -> Iterable[str]:
    found = _sections((section,), kind)
    return found[1].model_fields if len(found) > 1 else ()
