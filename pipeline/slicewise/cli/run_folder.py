"""A run as a user names it in, its folder and the data set that it saw out.

Where folders and data sets lie is private: it is remembered in the work folder and nowhere else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.errors import DataError
from slicewise.imaging.files import private_folder, write_text
from slicewise.tracking.resolving import resolve_run
from slicewise.tracking.spool.spool import spool_ids
from slicewise.tracking.store import open_store

RUN_ID = "run.json"
"""Lies in the folder of a run and tells the id under which it is tracked."""


@dataclass(frozen=True)
class RunPlace:
    """Where a run lies.

    Attributes:
        folder: what `slicewise train --out` or `slicewise baseline --out` left.
        data_root: data set that it saw; None where that is not remembered.
    """

    folder: Path
    data_root: Path | None


def remember_run(work: Path, run_id: str, folder: Path, config: Config) -> None:
    """Note where a run and its data set lie, readable by the owner alone.

    Raises:
        OutputError: the work folder cannot be written.
    """
    write_text(folder / RUN_ID, json.dumps({"run_id": run_id}) + "\n")
    root = None if config.data.root is None else str(config.data.root.resolve())
    content = {"folder": str(folder.resolve()), "data_root": root}
    private_folder(work / "private")
    path = private_folder(work / "private" / "runs") / f"{run_id}.json"
    write_text(path, json.dumps(content) + "\n", private=True)


def find_run(run: str, work: Path) -> RunPlace:
    """The folder of a run.

    Args:
        run: a folder, a run id, or ``models:/name@alias``.
        work: the work folder that the run began with.

    Raises:
        DataError: no such folder, a run whose folder is not remembered or gone, or a damaged
            record of it.
        ModelError: an id or a model that the store does not know.
    """
    folder = Path(run)
    if folder.is_dir():
        known = _remembered(work, _id_in(folder))
        return RunPlace(folder, known.data_root if known else None)
    store = open_store(work)
    run_id = resolve_run(store, run)
    if run_id is None:
        raise DataError(
            run,
            expected="the folder of a run, a run id, or models:/name@alias",
            found="none of these",
            remedy="correct the path, or look at the runs with `slicewise mlflow`",
        )
    names = (run_id, *spool_ids(store, run_id))
    known = next(filter(None, (_remembered(work, name) for name in names)), None)
    if known is None or not known.folder.is_dir():
        raise DataError(
            run,
            expected=f"the folder of the run, remembered in {work / 'private'}",
            found="it is not remembered" if known is None else f"{known.folder} is gone",
            remedy="give the folder itself, or the --work that the run began with",
        )
    return known


def run_id_in(folder: Path) -> str:
    """The id of the run that left a folder; of the run over all folds where it holds them.

    Raises:
        DataError: no run, or a damaged record of it.
    """
    if not (folder / RUN_ID).is_file():
        raise DataError(
            folder,
            expected=f"the folder of a run, with {RUN_ID}",
            found=f"no {RUN_ID}",
            remedy="give the folder of `slicewise train --out`, or a run id",
        )
    return _text_in(folder / RUN_ID, "run_id")


def _id_in(folder: Path) -> str:
    """The id of a run, or of its first fold; empty where the folder tells none."""
    file = folder / RUN_ID
    if not file.is_file():
        file = min(folder.glob(f"fold-*/{RUN_ID}"), default=file)
    return _text_in(file, "run_id") if file.is_file() else ""


def _remembered(work: Path, run_id: str) -> RunPlace | None:
    path = work / "private" / "runs" / f"{run_id}.json"
    if not path.is_file():
        return None
    root = _text_in(path, "data_root")
    return RunPlace(Path(_text_in(path, "folder")), Path(root) if root else None)


def _text_in(path: Path, key: str) -> str:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            path,
            expected=f"JSON with {key}, as a run writes it",
            found=f"{type(error).__name__}: {error}",
            remedy="remove the file; then give the folder of the run, and --data where asked for",
        ) from error
    return str(value or "")
