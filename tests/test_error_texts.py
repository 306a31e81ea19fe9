"""The texts of all errors, as they stand in the source: readable by who has not written it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from slicewise.cli.flags import with_flags

PACKAGE = Path(__file__).parents[1] / "pipeline" / "slicewise"
PARTS = ("expected", "found", "remedy")
EMPTY = {"none", "None", "nothing", ""}
COMMANDS = {"data", "plan", "predict"}
"""Words in backticks that name a command, not an option."""
Text = tuple[str, str, ast.expr]
"""Where a text stands, which part of an error it is, and its expression."""


def _texts() -> Iterator[Text]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not any(
                item.arg in ("found", "remedy") for item in node.keywords
            ):
                continue
            for item in node.keywords:
                if item.arg in PARTS:
                    yield f"{path.relative_to(PACKAGE)}:{item.value.lineno}", item.arg, item.value


TEXTS = list(_texts())


def _constants(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _choices(expression: ast.expr) -> Iterator[ast.expr]:
    """The expressions of which one becomes the text."""
    if isinstance(expression, ast.BoolOp):
        for value in expression.values:
            yield from _choices(value)
    elif isinstance(expression, ast.IfExp):
        yield from _choices(expression.body)
        yield from _choices(expression.orelse)
    else:
        yield expression


def test_there_are_texts() -> None:
    assert len(TEXTS) > 600


def test_nothing_is_said_in_words() -> None:
    """What was found is a thing, or `no` thing: not `none`."""
    bare = [
        where
        for where, part, expression in TEXTS
        for item in _choices(expression)
        if part == "found" and isinstance(item, ast.Constant) and item.value in EMPTY
    ]
    assert bare == []


def test_no_names_of_classes() -> None:
    named = [
        where
        for where, _, expression in TEXTS
        for node in ast.walk(expression)
        if isinstance(node, ast.Attribute) and node.attr in ("__name__", "__class__")
    ]
    assert named == []


def test_counts_have_their_noun() -> None:
    bare = [
        where
        for where, part, expression in TEXTS
        for item in _choices(expression)
        if part == "found"
        and re.fullmatch(r"str\(len\(.*\)\)|f'\{len\(.*\)\}'|str\(\w*count\w*\)", ast.unparse(item))
    ]
    assert bare == []


def test_options_become_flags() -> None:
    """A remedy that names an option can be followed on the command line."""
    unknown = [
        f"{where}: {name}"
        for where, _, expression in TEXTS
        for text in _constants(expression)
        for name in re.findall(r"`([a-z_]+)`", text)
        if with_flags(f"`{name}`") == f"`{name}`" and name not in COMMANDS
    ]
    assert unknown == []


@pytest.mark.parametrize("part", PARTS)
def test_a_text_is_no_sentence(part: str) -> None:
    """Each part follows a word such as `expected:`; it begins small and ends without a stop."""
    ended = [
        f"{where}: {text}"
        for where, name, expression in TEXTS
        if name == part and isinstance(expression, ast.Constant)
        for text in [str(expression.value)]
        if text.endswith(".") or "  " in text
    ]
    assert ended == []


def _rendered(expression: ast.expr) -> Iterator[ast.expr]:
    """The values inside of the texts that f-strings build."""
    for node in ast.walk(expression):
        if isinstance(node, ast.FormattedValue):
            yield node.value


def test_no_lists_and_dictionaries_as_python_writes_them() -> None:
    """Several things are named one after the other, without brackets."""
    raw = [
        f"{where}: {ast.unparse(value)}"
        for where, _, expression in TEXTS
        for value in _rendered(expression)
        if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.SetComp)
        or (
            isinstance(value, ast.Call)
            and (
                (isinstance(value.func, ast.Name) and value.func.id in ("sorted", "list", "set"))
                or (isinstance(value.func, ast.Attribute) and value.func.attr == "model_dump")
            )
        )
    ]
    assert raw == []


def test_one_is_not_followed_by_a_plural() -> None:
    """A count and its noun come from ``counted``, which knows one and many."""
    bare = [
        f"{where}: {ast.unparse(expression)}"
        for where, part, expression in TEXTS
        if part == "found" and re.match(r"f'\{len\([^{}]*\)\} [a-z]+s\b", ast.unparse(expression))
    ]
    assert bare == []
