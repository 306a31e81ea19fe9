"""Remembers in the work folder where runs and their data sets lie, and finds them again.

Where folders and data sets lie is private: it is recorded there and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config
from slicewise.errors import DataError, ModelError
from slicewise.file_names import file_name, nearest_path
from slicewise.imaging.files import private_folder
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.records import read_record, write_record
from slicewise.tracking.resolving import resolve_model, resolve_run
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.spool.run_ids import spool_ids
from slicewise.tracking.store import open_store

_REMEMBERED_AGAIN = "remove the file, and give the folder of the run itself"


@dataclass(frozen=True)
class RunPlace:
    """Where a run lies.

    Attributes:
        folder: what the training or the baseline left.
        data_root: the data set that it was made with; None where that is not remembered.
    """

    folder: Path
    data_root: Path | None


def remember_run(work: Path, run_id: str, folder: RunFolder, config: Config) -> None:
    """Record where a run and its data set lie, readable by the owner alone.

    Raises:
        OutputError: the work folder cannot be written.
    """
    folder.write_run_id(run_id)
    root = "" if config.data.root is None else str(config.data.root.resolve())
    content = {"folder": str(folder.path.resolve()), "data_root": root}
    private_folder(work / "private")
    path = _record(work, run_id)
    private_folder(path.parent)
    write_record(path, content, private=True)


def find_run(run: str | Path, work: Path) -> RunPlace:
    """The folder of a run.

    Args:
        run: a folder, a run id, or ``models:/name@alias``.
        work: the work folder that the run was made with.

    Raises:
        DataError: no such folder, a run whose folder is not remembered or gone, or a damaged
            record of it.
        ModelError: an id or a model that the store does not know.
    """
    folder = Path(run)
    if folder.is_dir():
        known = _remembered(work, RunFolder(folder).any_run_id())
        return RunPlace(folder, known.data_root if known else None)
    store = open_store(work)
    run_id = resolve_run(store, str(run))
    if run_id is None:
        raise DataError(
            run,
            expected="the folder of a run, a run id, or models:/name@alias",
            found="no such folder, and no id or address of a run",
            remedy=nearest_path(folder)
            or "correct the path, or list the runs with `slicewise runs list`",
        )
    names = (run_id, *spool_ids(store, run_id))
    known = next(filter(None, (_remembered(work, name) for name in names)), None)
    if known is None or not known.folder.is_dir():
        raise DataError(
            run,
            expected=f"the folder of the run, remembered in {work / 'private'}",
            found="it is not remembered" if known is None else f"{known.folder} is gone",
            remedy="give the folder itself, or the `work` folder that the run was made with",
        )
    return known


def find_model(model: str | Path, work: Path) -> ModelFiles:
    """The files of a model.

    Args:
        model: a checkpoint, the folder of a training, a run id or a ``models:/`` address.
        work: whose store is asked.

    Raises:
        ModelError: it leads to no model, or to a damaged one.
        DataError: a record in the folder is damaged.
    """
    path = Path(model)
    if path.is_file():
        return ModelFiles((path,))
    if path.is_dir():
        return RunFolder(path).model_files()
    found = resolve_model(open_store(work), str(model))
    if found is None:
        raise ModelError(
            model,
            expected="a folder or checkpoint of a training, a run id, or models:/name@alias",
            found="no such file or folder, and no id or address of a model",
            remedy=nearest_path(path)
            or "correct the path, or list the models with `slicewise models`",
        )
    return found


def _remembered(work: Path, run_id: str) -> RunPlace | None:
    if not run_id or not (path := _record(work, run_id)).is_file():
        return None
    known = read_record(path, ("folder", "data_root"), remedy=_REMEMBERED_AGAIN)
    root = known["data_root"]
    return RunPlace(Path(known["folder"]), Path(root) if root else None)


def _record(work: Path, run_id: str) -> Path:
    """The file about a run; its id may come from the record of a folder, or from a server."""
    name = file_name(run_id, "run id", suffix=".json", remedy="train again, or remove its run.json")
    return work / "private" / "runs" / f"{name}.json"
