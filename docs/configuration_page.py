"""The page of configuration keys, written from the sections of a configuration."""

from __future__ import annotations

import ast
import inspect
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import annotated_types
import yaml
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.errors import SphinxError

from slicewise.config import Config, SweepSection
from slicewise.config.base import Section
from slicewise.config.network_options import MONAI_NETWORKS

_INTRODUCTION = """\
# Configuration

A configuration is one YAML file for one experiment. `slicewise plan DATA --out mine.yaml` writes
one with the reason for each value; `configs/template.yaml` has all keys with their defaults. Keys
that are left out take the defaults below; `null` is YAML's word for an empty value. An unknown key,
a wrong value and an option without effect are mistakes, and all mistakes of a file are reported at
once, with their lines. `--set section.key=value` overrides one key on the command line, for example
`--set 'data.labels={csf: 1}'` or `--set network.features=[32,64,128]`.
"""
_SWEEPS = """\
# Sweep files

`slicewise sweep CONFIG SWEEP` reads a second file, which says what is searched and how long;
`configs/sweeps/` has an example.
"""
_NAMES = {
    Any: "any value",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    Path: "path",
}
_BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def configuration_page() -> str:
    """The page, in Markdown.

    Raises:
        SphinxError: a key without a sentence, or of a type that has no words here.
    """
    parts = [_INTRODUCTION, *_sections(Config)]
    for name, options in MONAI_NETWORKS.items():
        parts += _sections(options, f"network.options of {name}")
    parts += [_SWEEPS, *_sections(SweepSection)]
    return "\n".join(parts)


def _sections(section: type[Section], path: str = "") -> Iterator[str]:
    """The table of a section, then those of the sections in it."""
    sentences = _sentences(section)
    rows, inner = [], []
    for name, field in section.model_fields.items():
        place = f"{path}.{name}" if path else name
        if nested := _nested(field.annotation, place):
            inner.append(nested)
            if nested[1] == place:
                continue
        if name not in sentences:
            raise SphinxError(f"{section.__name__}.{name} has no sentence")
        kind = _words(field.annotation, field.metadata)
        rows.append(f"| `{name}` | {kind} | {_default(field)} | {sentences[name]} |")
    heading = f"## {path}" if path else "## Top level"
    table = ["| key | type | default | meaning |", "|---|---|---|---|", *rows]
    yield "\n".join([heading, "", inspect.getdoc(section) or "", "", *table, ""])
    for nested_section, place in inner:
        yield from _sections(nested_section, place)


def _sentences(section: type[Section]) -> dict[str, str]:
    """The sentence below each key, from the source of its class and of those it derives from."""
    found: dict[str, str] = {}
    for base in section.__mro__:
        if not (issubclass(base, Section) and base is not Section):
            continue
        (tree,) = ast.parse(inspect.getsource(base)).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                sentence = " ".join(str(ast.literal_eval(below.value)).split())
                found.setdefault(ast.unparse(field.target), sentence.replace("|", r"\|"))
    return found


def _nested(annotation: Any, place: str) -> tuple[type[Section], str] | None:
    """The section that a key holds, and where its keys stand: one, one a name, or a list."""
    if annotation is Section:
        return None  # Options of whatever another key names.
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return annotation, place
    for argument in typing.get_args(annotation):
        inside = "[]" if typing.get_origin(annotation) is tuple else ".NAME"
        union = isinstance(annotation, types.UnionType)
        if nested := _nested(argument, place if union else place + inside):
            return nested
    return None


def _words(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in words, such as "list of whole numbers above 0, or null"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _words(arguments[0], [*arguments[1:], *metadata])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        kinds = [_words(item, metadata) for item in arguments if item is not type(None)]
        return " or ".join(kinds) + (", or null" if type(None) in arguments else "")
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of: {_words(arguments[0])}"
    if origin is tuple:
        return f"list of {len(arguments)}: {_words(arguments[0])}"
    if origin is dict:
        return f"map of name to: {_words(arguments[1])}"
    if inspect.isclass(annotation) and issubclass(annotation, Section):
        return "section"
    if annotation not in _NAMES:
        raise SphinxError(f"no words for the type {annotation}")
    return " ".join([_NAMES[annotation], " and ".join(_bounds(metadata))]).strip()


def _bounds(metadata: Sequence[Any]) -> Iterator[str]:
    for item in metadata:
        details = getattr(item, "metadata", [item])  # a FieldInfo inside Annotated
        for detail in details:
            if isinstance(detail, annotated_types.BaseMetadata):
                for name, word in _BOUNDS.items():
                    if (bound := getattr(detail, name, None)) is not None:
                        yield f"{word} {bound}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if isinstance(value, Section):
        return ""
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True).removesuffix("...\n").strip()
    return f"`{text}`"
