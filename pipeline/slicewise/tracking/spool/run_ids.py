"""Remembers which run of the store a spool has become, as files may hold the id of the spool."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slicewise.errors import ModelError
from slicewise.file_names import file_name
from slicewise.imaging.files import private_folder, write_text
from slicewise.tracking.store import Store


def remember_id(store: Store, spool_id: str, run_id: str) -> None:
    """Record the run id that the store assigned, for files that hold the id of the spool."""
    folder = private_folder(store.folder / "spooled")
    write_text(folder / f"{spool_id}.json", checked({"run_id": run_id}), private=True)


def known_id(store: Store, text: str) -> str:
    """MLflow's id of a run that may be named by the id of its spool.

    Raises:
        ModelError: the text cannot be an id.
    """
    remedy = "list the runs with `slicewise runs list`"
    file_name(text, f"run {text}", suffix=".json", kind=ModelError, remedy=remedy)
    return str(read_record(store.folder / "spooled" / f"{text}.json").get("run_id", text))


def spool_ids(store: Store, run_id: str) -> list[str]:
    """Ids of the spools of a run."""
    records = (store.folder / "spooled").glob("*.json")
    return [path.stem for path in records if known_id(store, path.stem) == run_id]


def read_record(path: Path) -> Mapping[str, Any]:
    """A JSON object; empty where it is missing or damaged."""
    try:
        return parsed(path.read_bytes())
    except (OSError, ValueError):
        # A text with a NUL, for instance, names no file.
        return {}


def checked(content: Mapping[str, Any]) -> str:
    """A line with a JSON object and, as its last key, the checksum of the others."""
    return json.dumps({**content, _CHECKSUM: _checksum(content)}) + "\n"


def parsed(text: bytes) -> Mapping[str, Any]:
    """The object of ``checked``; empty where the text is damaged."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(content, dict):
        return {}
    is_whole = content.pop(_CHECKSUM, None) == _checksum(content)
    return content if is_whole else {}


_CHECKSUM = "crc32"


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content).encode())
