"""The page of commands, written from the command line interface."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from sphinx.errors import SphinxError

from slicewise.cli.main import app

_INTRODUCTION = """\
# Commands

`slicewise COMMAND --help` prints the same. Every command that takes a `CONFIG` also takes
`--set section.key=value` (repeatable) and `--work DIR`: the one place of slice cache, runs and
MLflow store, by default `work/` in the current directory. `MODEL` is a folder or checkpoint of
`train`, a run id, or `models:/name@alias`. Every exit code is listed under
[Exit codes](../training.md#exit-codes). `make` without a target lists a make target for most of
these commands.
"""
_EXAMPLES = re.compile(r"^Examples?:\n", re.MULTILINE)


def commands_page() -> str:
    """The page, in Markdown.

    Raises:
        SphinxError: a command, an argument or an option without a help text.
    """
    root = typer.main.get_command(app)
    sections = [_section(name, command) for name, command in _commands(root, "slicewise")]
    return "\n".join([_INTRODUCTION, *sections])


def _commands(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _section(name: str, command: Any) -> str:
    if not command.help:
        raise SphinxError(f"{name} has no help text")
    text, _, examples = _split_at_examples(inspect.cleandoc(command.help))
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join([name, *map(_usage, arguments), "[OPTIONS]"])
    parts = [f"## {name}", _code(usage), text]
    rows = [(f"`{_metavar(item)}`", _help(name, item)) for item in arguments]
    rows += [(_flags(item), _help(name, item)) for item in options if item.name != "help"]
    if rows:
        parts.append("\n".join(["| | |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]))
    if examples:
        parts.append(_code(examples))
    return "\n\n".join(parts) + "\n"


def _split_at_examples(text: str) -> tuple[str, str, str]:
    found = _EXAMPLES.search(text)
    if found is None:
        return text, "", ""
    lines = inspect.cleandoc("\n" + text[found.end() :]).splitlines()
    return text[: found.start()].rstrip(), found[0], "\n".join(filter(None, lines))


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _usage(argument: Any) -> str:
    text = _metavar(argument)
    text = f"{text}..." if argument.nargs == -1 and "..." not in text else text
    return text if argument.required else f"[{text}]"


def _flags(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts + option.secondary_opts)
    return names if option.is_flag else f"{names} `{option.metavar or 'VALUE'}`"


def _help(command: str, item: Any) -> str:
    if not item.help:
        raise SphinxError(f"{command} {item.name} has no help text")
    text = " ".join(item.help.split()).replace("|", r"\|")
    default = item.default
    if item.param_type_name == "option" and item.required:
        return f"{text} Required."
    if callable(default) or default in (None, ()) or isinstance(default, bool):
        return text
    return f"{text} Default: `{default}`."


def _code(text: str) -> str:
    return f"```text\n{text}\n```"
