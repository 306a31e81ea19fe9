"""Runs as a user names them in; a table, a file, or the same runs in another store out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from slicewise.cli.bridge import tracked
from slicewise.cli.console import note, output, show_table
from slicewise.errors import UsageError
from slicewise.imaging.files import write_text
from slicewise.quantities import counted
from slicewise.tracking.store import open_store
from slicewise.tracking.transfer.exporting import all_runs, chosen_runs, export_runs
from slicewise.tracking.transfer.importing import Imported, exported_runs, import_runs
from slicewise.tracking.transfer.package import opened, pack

_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_COLUMNS = ("run", "kind", "fold", "status", "Dice", "date", "id")


def show_runs(experiment: str | None, json_file: Path | None, work: Path) -> None:
    """Print a row a run, the newest first.

    Raises:
        ModelError, OutputError: no such experiment, the store refuses, or the file cannot be
            written.
    """
    rows = [_row(run) for run in reversed(all_runs(open_store(work), experiment))]
    if json_file is not None:
        write_text(json_file, json.dumps(rows, indent=2) + "\n")
    if rows:
        show_table("Tracked runs", _COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))
    else:
        note("no run is tracked yet")


def export_to(
    out: Path, run_ids: Sequence[str], model_name: str | None, work: Path, *, everything: bool
) -> None:
    """Write runs and their models into one file.

    Raises:
        UsageError: nothing or too much is chosen, or another kind of file.
        ModelError, OutputError: an unknown run or model, the store refuses, no space.
    """
    is_chosen = bool(run_ids) or model_name is not None
    if is_chosen == everything:
        raise UsageError(
            "runs export",
            expected="ids of runs, --model, or --all",
            found="both" if everything else "none of them",
            remedy="see `slicewise runs export --help`",
        )
    if not out.name.endswith(_SUFFIXES):
        raise UsageError(
            f"--out {out}",
            expected=f"a name that ends in {', '.join(_SUFFIXES)}",
            found=out.name,
            remedy="correct the suffix",
        )
    store = open_store(work)
    runs = all_runs(store) if everything else chosen_runs(store, run_ids, model_name)
    with TemporaryDirectory() as place:
        folder = Path(place)
        for _ in tracked(export_runs(store, runs, folder), "exporting", len(runs)):
            pass
        pack(folder, out)
    output.print(f"{counted(len(runs), 'run')} in {out}", markup=False, soft_wrap=True)


def import_from(file: Path, work: Path, *, move_aliases: bool) -> None:
    """Make the runs of a file anew, and say what came of them.

    Raises:
        DataError: the file is damaged, or of a newer format.
        OutputError: the store refuses.
    """
    store = open_store(work)
    done = Imported()
    with opened(file) as folder:
        runs = exported_runs(folder)
        steps = import_runs(store, folder, runs, done, move_aliases=move_aliases)
        for _ in tracked(steps, "importing", len(runs)):
            pass
    new = len(runs) - len(done.skipped)
    output.print(f"{counted(new, 'run')} imported, {len(done.skipped)} there already")
    for address in done.versions:
        output.print(f"registered: {address}", markup=False)
    for alias in done.kept_aliases:
        note(f"{alias} points at another version here and stays; --aliases moves it")


def _row(run: Any) -> Mapping[str, str]:
    tags, metrics = run.data.tags, run.data.metrics
    day = datetime.fromtimestamp(run.info.start_time / 1000, tz=UTC).date().isoformat()
    return {
        "run": run.info.run_name or "",
        "kind": tags.get("slicewise.kind", ""),
        "fold": tags.get("slicewise.fold", ""),
        "status": run.info.status,
        "Dice": f"{metrics['dice']:.4f}" if "dice" in metrics else "",
        "date": day,
        "id": run.info.run_id,
    }
