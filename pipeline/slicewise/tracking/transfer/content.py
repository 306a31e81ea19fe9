"""What the JSON files of a package hold, checked before anything of it reaches a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter

from slicewise.imaging.own_files import OwnFile

Tags = dict[str, str]


@dataclass(frozen=True)
class DatasetContent:
    """A data set that a run has used, with the names of MLflow."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None


@dataclass(frozen=True)
class InputContent:
    """One input of a run."""

    dataset: DatasetContent
    tags: Tags


@dataclass(frozen=True)
class OutputContent:
    """A logged model of a run."""

    model_id: str
    step: int


@dataclass(frozen=True)
class RunContent:
    """A run."""

    run_id: str
    name: str | None
    experiment: str
    experiment_tags: Tags
    status: Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]
    start_time: int
    end_time: int | None
    params: dict[str, str]
    tags: Tags
    inputs: list[InputContent]
    outputs: list[OutputContent]


@dataclass(frozen=True)
class ModelContent:
    """A logged model."""

    model_id: str
    name: str
    model_type: str | None
    status: str
    source_run_id: str | None
    params: dict[str, str]
    tags: Tags


@dataclass(frozen=True)
class VersionContent:
    """A version of a registered model."""

    version: str
    run_id: str
    model_id: str | None
    description: str
    tags: Tags


@dataclass(frozen=True)
class RegisteredContent:
    """A registered model."""

    name: str
    description: str
    tags: Tags
    aliases: dict[str, str]
    versions: list[VersionContent]


Point = tuple[str, float, int, int, str | None]
"""A point of a metric: key, value, time in ms, step, and the logged model that it is about."""
Content = TypeVar("Content")

_RUN = TypeAdapter(RunContent)
_MODEL = TypeAdapter(ModelContent)
_REGISTRY = TypeAdapter(list[RegisteredContent])
_POINT: TypeAdapter[Point] = TypeAdapter(Point)


def read_run(path: Path) -> RunContent:
    """A run of an opened package.

    Raises:
        DataError: another content.
    """
    return _file(path).json(_RUN)


def read_model(path: Path) -> ModelContent:
    """A logged model of an opened package.

    Raises:
        DataError: another content.
    """
    return _file(path).json(_MODEL)


def read_points(path: Path) -> list[Point]:
    """The metrics of a run; an empty file has none.

    Raises:
        DataError: another content.
    """
    return _file(path).json_lines(_POINT) if path.stat().st_size else []


def read_registry(path: Path, runs: Sequence[RunContent]) -> list[RegisteredContent]:
    """The registered models of an opened package.

    Args:
        path: of the file.
        runs: of the package, which all versions come from.

    Raises:
        DataError: another content, a version of another run, or an alias of no version.
    """
    file = _file(path)
    models = file.json(_REGISTRY)
    known = {run.run_id for run in runs}
    for model in models:
        numbers = {item.version for item in model.versions}
        strangers = {item.run_id for item in model.versions} - known
        if strangers:
            raise file.damaged(f"a version of {model.name} whose run is not in the package")
        lost = sorted(key for key, number in model.aliases.items() if number not in numbers)
        if lost:
            raise file.damaged(f"the alias {lost[0]} of {model.name}, which has no version")
    return models


def _file(path: Path) -> OwnFile:
    return OwnFile(
        path, "what `slicewise runs export` wrote", "do not use this file; export the runs again"
    )
