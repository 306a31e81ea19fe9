"""Renders a plan as a complete YAML file with comments."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from slicewise.config import Config
from slicewise.planning.draft import OVERRIDDEN

WIDTH = 100
_COMMENT_COLUMN = 30


def render_plan(config: Config, reasons: Mapping[str, str], header: Sequence[str]) -> str:
    """The text of a configuration file that ``parse_config`` reads back unchanged.

    Args:
        config: every key of it is written.
        reasons: dotted key to the reason for its value, which is written above the key. Other keys
            are followed by their meaning.
        header: lines of the comment at the top.
    """
    lines = [f"# {line}".rstrip() for line in header]
    values = config.model_dump(mode="json")
    for name, value in values.items():
        section = getattr(config, name)
        if isinstance(section, BaseModel):
            lines += ["", f"{name}:", *_section(name, section, value, reasons)]
        else:
            lines += ["", *_entry(name, value, reasons.get(name, ""), _meaning(config, name), "")]
    return "\n".join(lines) + "\n"


def with_root(config: Config, data: Path) -> Config:
    """The configuration with the absolute path of its data set, so that it trains from anywhere.

    Absolute, since a relative path would start at whatever folder the next command runs in.
    """
    section = config.data.model_copy(update={"root": data.absolute()})
    return config.model_copy(update={"data": section})


def _section(
    name: str, section: BaseModel, values: Mapping[str, Any], reasons: Mapping[str, str]
) -> Iterator[str]:
    for key, value in values.items():
        reason = reasons.get(f"{name}.{key}", "")
        yield from _entry(key, value, reason, _meaning(section, key), "  ")


def _entry(key: str, value: Any, reason: str, meaning: str, indent: str) -> Iterator[str]:
    if reason:
        yield from _wrapped(reason if reason == OVERRIDDEN else f"planned: {reason}", indent)
    if isinstance(value, dict) and value:
        yield f"{indent}{key}:"
        block = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH)
        yield from textwrap.indent(block.rstrip(), f"{indent}  ").splitlines()
        return
    line = f"{indent}{key}: {_flow(value)}"
    with_meaning = f"{line:<{_COMMENT_COLUMN}} # {meaning}"
    if reason or not meaning:
        yield line
    elif len(with_meaning) <= WIDTH:
        yield with_meaning
    else:
        yield from _wrapped(meaning, indent)
        yield line


def _wrapped(text: str, indent: str) -> Iterable[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _flow(value: Any) -> str:
    """One value on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.removesuffix("\n").removesuffix("\n...")


def _meaning(section: BaseModel, key: str) -> str:
    """First sentence of the docstring of a field, without its full stop."""
    sentence = _docstrings(type(section)).get(key, "")
    return sentence.partition(". ")[0].rstrip(".").replace("``", "")


def _docstrings(section: type[BaseModel]) -> dict[str, str]:
    """Field to its docstring."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(body, ast.ClassDef)
    docstrings = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str() as words)):
                    docstrings[field.target.id] = " ".join(words.split())
    return docstrings
