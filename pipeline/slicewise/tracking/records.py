"""Small JSON records of a run: written at once, read safely."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from slicewise.errors import DataError
from slicewise.imaging.files import write_text

_REMEDY = "restore the file, or train again with `overwrite`"


def write_record(path: Path, content: Mapping[str, str], *, private: bool = False) -> None:
    """Write a flat JSON object of texts; a private one is for its owner alone.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, json.dumps(dict(content), indent=2) + "\n", private=private)


def read_record(path: Path, required: Iterable[str], *, remedy: str = _REMEDY) -> dict[str, str]:
    """Read a flat JSON object of texts.

    Args:
        path: of the file.
        required: keys that it must have.
        remedy: for a damaged file.

    Raises:
        DataError: unreadable, another content, or without a required key.
    """
    content = {key: str(value) for key, value in read_json(path, remedy=remedy).items()}
    if missing := [key for key in required if key not in content]:
        raise _damaged(path, f"no {', '.join(missing)}", remedy)
    return content


def read_json(path: Path, *, remedy: str = _REMEDY) -> dict[str, object]:
    """Read a JSON object.

    Args:
        path: of the file.
        remedy: for a damaged file.

    Raises:
        DataError: unreadable, or another content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}", remedy) from error
    if not isinstance(content, dict):
        raise _damaged(path, f"a {type(content).__name__}", remedy)
    return content


def _damaged(path: Path, found: str, remedy: str) -> DataError:
    return DataError(
        path,
        expected="the JSON object that the run wrote",
        found=found,
        remedy=remedy,
    )
