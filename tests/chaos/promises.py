"""What holds after every fault; each function lists what is broken."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sqlite3
import tarfile
import time
import zipfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.chaos.arena import STORE, Ended
from tests.chaos.commands import Command
from tests.chaos.faults import Fault, Moment

from slicewise.imaging.files import sha256_of
from slicewise.imaging.nifti.reading import read_nifti

SECONDS_AFTER_SIGNAL = 35.0
"""Four seconds, and thirty where the state is saved."""
_PART = re.compile(r"\.part(\.|$)")
_OF_THE_CLOCK = re.compile(r"seconds|share|^system/")


def digests(folder: Path, command: Command) -> dict[str, str]:
    """Path of each result to a digest of what must be the same in every run."""
    paths = {path for pattern in command.results.split() for path in folder.glob(pattern)}
    files = sorted(path for path in paths if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): _digest(path) for path in files}


def inputs(folder: Path) -> dict[str, str]:
    """Path of each input to its checksum."""
    files = [*folder.glob("scans/**/*"), *folder.glob("dicom/**/*"), folder / "tiny.yaml"]
    return {str(path): sha256_of(path) for path in files if path.is_file()}


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".pt":
        # Weights, optimiser and random states; the rest of a checkpoint has times.
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if "/data/" in name]
            content = b"".join(archive.read(name) for name in names)
    elif path.suffix == ".tgz":
        with tarfile.open(path) as packed:
            content = "\n".join(sorted(packed.getnames())).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def store_content(folder: Path) -> dict[str, Any]:
    """Runs by their state, with metrics; versions of models; what is inconsistent."""
    if not (folder / STORE).is_file():
        return {"runs": [], "versions": 0, "faults": [], "told": []}
    # A journal that a killed process has left is undone here, as by the next command.
    with closing(sqlite3.connect(folder / STORE, timeout=30)) as connection:

        def ask(text: str) -> list[tuple[Any, ...]]:
            return connection.execute(text).fetchall()

        faults = [row[0] for row in ask("PRAGMA integrity_check") if row[0] != "ok"]
        metrics = ask("SELECT run_uuid, key, step, value FROM metrics ORDER BY 1, 2, 3")
        states = ask("SELECT run_uuid, name, status FROM runs WHERE lifecycle_stage = 'active'")
        told = ask("SELECT 1 FROM tags WHERE key = 'slicewise.damaged_entries'")
        versions = len(ask("SELECT 1 FROM model_versions"))
    twice = Counter((run, key, step) for run, key, step, _ in metrics)
    faults += [f"{key} of step {step} {n} times" for (_, key, step), n in twice.items() if n > 1]
    runs = []
    for run, name, status in states:
        of_run = [(key, step, value) for owner, key, step, value in metrics if owner == run]
        # Times differ between runs, and samples of the system come by the clock.
        same = [(k, s, v) for k, s, v in of_run if not _OF_THE_CLOCK.search(k)]
        runs.append((name, status, same if status == "FINISHED" else None))
    return {"runs": sorted(runs, key=repr), "versions": versions, "faults": faults, "told": told}


def let_time_pass(folder: Path) -> None:
    """The last sign of life of every run is older than three minutes, after which it counts."""
    for path in folder.glob("work/mlflow/spool/**/*"):
        os.utime(path, (time.time() - 300,) * 2)
    if (folder / STORE).is_file():
        with closing(sqlite3.connect(folder / STORE, timeout=30)) as connection, connection:
            connection.execute(
                "UPDATE tags SET value = CAST(value - 300 AS TEXT)"
                " WHERE key = 'slicewise.heartbeat'"
            )


def broken_grids(folder: Path) -> list[str]:
    """Masks that do not have the grid of their scan."""
    return [
        f"{mask.relative_to(folder)} has another grid than its scan"
        for mask in [*folder.glob("masks/*.nii.gz"), *folder.glob("model/masks/*.nii.gz")]
        if read_nifti(mask).grid_difference_voxels(read_nifti(folder / "scans/images" / mask.name))
        > 1e-3
    ]


def broken_answer(ended: Ended, fault: Fault, moment: Moment, arena_root: Path) -> list[str]:
    """What the command said, and how it ended."""
    broken = []
    if ended.code not in fault.codes:
        broken.append(f"exit code {ended.code} instead of {sorted(fault.codes)}")
    # Workers of a killed process lose it in the midst of its start.
    is_killed = ended.code == -signal.SIGKILL
    if "Traceback (most recent call last)" in ended.stderr and not is_killed:
        broken.append("a traceback on stderr")
    if any(path.is_file() for path in (arena_root / "state").rglob("*")):
        broken.append("an error that was not foreseen")
    if ended.code in (1, 2) and not all(
        f"{part}:" in ended.stderr for part in ("expected", "found", "remedy")
    ):
        broken.append("an error without its four parts")
    if ended.left_processes:
        broken.append(f"processes left: {', '.join(ended.left_processes)}")
    if fault.name.startswith("SIG") and ended.seconds_after_fault > SECONDS_AFTER_SIGNAL:
        broken.append(f"{ended.seconds_after_fault:.0f} seconds to end after the signal")
    if moment.damaged and ended.code in (1, 2):
        names = (moment.damaged.name, *(str(parent) for parent in moment.damaged.parents))
        if not any(name in ended.stderr for name in names if name != "."):
            broken.append(f"the damaged {moment.damaged} is not named")
    return broken


def broken_files(
    folder: Path, command: Command, before: dict[str, str], after: dict[str, str], fault: Fault
) -> list[str]:
    """Results that are neither the old nor the new file, and temporary files that are left."""
    broken = []
    try:
        now = digests(folder, command)
    except (OSError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        return [f"half a result: {error}"]
    for path, digest in now.items():
        if digest not in (before.get(path), after.get(path)) and not path.endswith(command.growing):
            broken.append(f"{path} is neither the old nor the new file")
    if not fault.leaves_parts:
        broken += [f"left: {name}" for name in parts(folder)]
    return broken


def parts(folder: Path) -> list[str]:
    """Temporary files."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if _PART.search(path.name)]
    return sorted(map(str, found))


def same_results(now: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Results that differ from those of an undisturbed run."""
    return [
        f"{path}: {'missing' if path not in now else 'other content'}"
        for path, digest in expected.items()
        if now.get(path) != digest
    ]


def broken_store(now: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """A store that lost, doubled or changed something."""
    broken = list(now["faults"])
    finished = [run for run in now["runs"] if run[1] == "FINISHED"]
    # What was damaged before its delivery is missing, which the run tells.
    if not now["told"] and finished != [run for run in expected["runs"] if run[1] == "FINISHED"]:
        broken.append(f"runs in the store: {json.dumps(now['runs'])[:1500]}")
    if running := [run[0] for run in now["runs"] if run[1] not in ("FINISHED", "KILLED", "FAILED")]:
        broken.append(f"still running: {running}")
    if now["versions"] != expected["versions"]:
        broken.append(f"{now['versions']} versions of the model instead of {expected['versions']}")
    return broken
