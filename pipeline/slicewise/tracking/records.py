"""Small JSON records of a run: written at once, read safely."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import TypeAdapter

from slicewise.imaging.files import write_text
from slicewise.imaging.own_files import OwnFile

RESTORE = "restore the file from a copy, or train again with `overwrite`"
"""Remedy for a damaged file of a run."""
_WHAT = "the JSON object that the run wrote"
_TEXTS = TypeAdapter(dict[str, str])


def record_text(content: Mapping[str, str]) -> str:
    """A flat JSON object of texts."""
    return json.dumps(dict(content), indent=2) + "\n"


def write_record(path: Path, content: Mapping[str, str], *, private: bool = False) -> None:
    """Write a flat JSON object of texts; a private one is for its owner alone.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, record_text(content), private=private)


def record_file(path: Path, remedy: str = RESTORE) -> OwnFile:
    """The file of a record."""
    return OwnFile(path, _WHAT, remedy)


def read_record(path: Path, required: Iterable[str], *, remedy: str = RESTORE) -> dict[str, str]:
    """Read a flat JSON object of texts.

    Args:
        path: of the file.
        required: keys that it must have.
        remedy: for a damaged file.

    Raises:
        DataError: unreadable, changed, another content, or without a required key.
    """
    file = record_file(path, remedy)
    content = file.json(_TEXTS)
    if missing := [key for key in required if key not in content]:
        raise file.damaged(f"no {', '.join(missing)}")
    return content
