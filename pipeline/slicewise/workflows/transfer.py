"""Lists tracked runs, and moves runs with their models from one store to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from slicewise.errors import UsageError
from slicewise.imaging.target import given, outputs
from slicewise.progress import SILENT, Progress, tracked
from slicewise.tracking.listing import RunRow, all_runs, run_rows, write_rows
from slicewise.tracking.store import open_store
from slicewise.tracking.transfer.exporting import chosen_runs, export_runs
from slicewise.tracking.transfer.importing import Imported, exported_runs, import_runs
from slicewise.tracking.transfer.package import opened, pack

_SUFFIXES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True)
class ListRunsOptions:
    """Which runs to list.

    Attributes:
        experiment: only runs of this experiment; None lists all.
        json: file of the rows to write; None writes none.
        work: whose store is asked.
        overwrite: replace a file of others.
    """

    experiment: str | None = None
    json: Path | None = None
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class ExportOptions:
    """Which runs to export.

    Attributes:
        out: the file; ends in ``.tar``, ``.tar.gz`` or ``.tgz``.
        run_ids: ids of runs.
        model_name: registered model whose runs are exported.
        everything: export all runs of the store.
        work: whose store is asked.
        overwrite: replace a file of others.
    """

    out: Path
    run_ids: tuple[str, ...] = ()
    model_name: str | None = None
    everything: bool = False
    work: Path = Path("work")
    overwrite: bool = False


@dataclass(frozen=True)
class Exported:
    """An export.

    Attributes:
        file: the archive.
        runs: ids of the exported runs.
    """

    file: Path
    runs: tuple[str, ...]


@dataclass(frozen=True)
class ImportOptions:
    """What to import.

    Attributes:
        file: archive of ``export_to_file``.
        move_aliases: move aliases that point at other versions in this store.
        work: whose store gets the runs.
    """

    file: Path
    move_aliases: bool = False
    work: Path = Path("work")


def list_runs(options: ListRunsOptions) -> list[RunRow]:
    """The tracked runs, newest first.

    Raises:
        ModelError: no such experiment.
        OutputError: the store refuses, or the file cannot be written.
    """
    files = {"json": given(options.json)}
    with outputs("runs list", files, overwrite=options.overwrite):
        rows = run_rows(open_store(options.work), options.experiment)
        if options.json is not None:
            write_rows(rows, options.json)
    return rows


def export_to_file(options: ExportOptions, progress: Progress = SILENT) -> Exported:
    """Write runs, their child runs and their models to one file.

    Raises:
        UsageError: nothing is chosen, contradicting choices, or another kind of file.
        ModelError: no such run or model.
        OutputError: the store refuses, or the file cannot be written.
    """
    out = options.out
    is_chosen = bool(options.run_ids) or options.model_name is not None
    if is_chosen == options.everything:
        raise UsageError(
            "runs to export",
            expected="ids of runs, `model_name`, or `everything`",
            found="both" if options.everything else "none of them",
            remedy="name the runs, or export everything",
        )
    files, suffixes = {"out": [out]}, {"out": _SUFFIXES}
    with outputs("runs export", files, overwrite=options.overwrite, suffixes=suffixes):
        return _export(options, progress)


def _export(options: ExportOptions, progress: Progress) -> Exported:
    store = open_store(options.work)
    if options.everything:
        runs = all_runs(store)
    else:
        runs = chosen_runs(store, options.run_ids, options.model_name)
    with TemporaryDirectory() as folder:
        steps = export_runs(store, runs, Path(folder))
        for _ in tracked(steps, progress, "exporting", len(runs)):
            pass
        pack(Path(folder), options.out)
    return Exported(options.out, tuple(run.info.run_id for run in runs))


def import_from_file(options: ImportOptions, progress: Progress = SILENT) -> Imported:
    """Create the runs and models of an exported file in another store.

    Raises:
        DataError: the file is missing, damaged, or of another format.
        OutputError: the store refuses.
    """
    store = open_store(options.work)
    done = Imported()
    with opened(options.file) as folder:
        runs = exported_runs(folder)
        steps = import_runs(store, folder, runs, done, move_aliases=options.move_aliases)
        for _ in tracked(steps, progress, "importing", len(runs)):
            pass
    return done
