"""Writes configurations as YAML and as flat values, with and without folders of this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from slicewise.config.data_sections import FOLD_KINDS
from slicewise.config.mistakes import Location
from slicewise.config.sections import Config


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
