"""What may be replaced in the folder of a run, and how it is removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from slicewise.errors import OutputError
from slicewise.evaluation.results import CONFIG, RESULTS
from slicewise.imaging.locking import LOCK, sole_user
from slicewise.imaging.mark import MARK, Writer
from slicewise.imaging.target import Target
from slicewise.segmentation.checkpoint import LAST
from slicewise.tracking.run_files import (
    BASELINE_ENTRIES,
    BASELINE_FILES,
    EXAMPLES,
    TRAINING_ENTRIES,
    TRAINING_FILES,
)
from slicewise.tracking.run_folder import RunFolder


def training_target(inputs: Iterable[Path], *, resume: bool, overwrite: bool) -> Target:
    """What a training may write; one that goes on has shown that the files are its own.

    Args:
        inputs: what is read: the data set, the configuration.
        resume: continue the training that lies in its folder.
        overwrite: replace what lies there.
    """
    return Target(Writer("train"), overwrite=resume or overwrite, inputs=inputs)


def claim_training(target: Target, folder: RunFolder) -> None:
    """Require that a training, or the trainings of all folds, may be written to a folder.

    Raises:
        UsageError, OutputError: see ``Target``.
    """
    target.claim_entries(folder.path, TRAINING_ENTRIES)


def baseline_target(inputs: Iterable[Path], folder: RunFolder, *, overwrite: bool) -> Target:
    """What a baseline may write; see ``claim_training``."""
    target = Target(Writer("baseline"), overwrite=overwrite, inputs=inputs)
    target.claim_entries(folder.path, BASELINE_ENTRIES)
    return target


def require_free(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace a training unless that is wanted; see ``clear_training``.

    Raises:
        OutputError: the folder holds another training, or a baseline.
    """
    if folder.path.exists() and not folder.path.is_dir():
        raise OutputError(
            folder.path,
            expected="a folder for a training",
            found="a file",
            remedy="choose another `out`",
        )
    if folder.folds:
        raise OutputError(
            folder.path,
            expected="a folder for one fold",
            found="the folders of all folds",
            remedy="choose another `out`, or the two are mistaken for one model",
        )
    if (folder.path / RESULTS).is_file() and not folder.has_training:
        raise OutputError(
            folder.path,
            expected="a folder for a training",
            found=f"{RESULTS} without a checkpoint: a baseline",
            remedy="choose another `out`",
        )
    if folder.has_training and not (resume or overwrite):
        raise OutputError(
            folder.path,
            expected="a folder without a training",
            found=f"{LAST} of an earlier training",
            remedy="continue it with `resume`, replace it with `overwrite`, or choose "
            "another `out`",
        )


def require_free_folds(folder: RunFolder, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder as the place for all folds, before one of them is trained.

    Raises:
        OutputError: a training of one fold lies there, or one that is not to be replaced.
    """
    if folder.has_training:
        raise OutputError(
            folder.path,
            expected="a folder for the folders of all folds",
            found=f"{LAST} of a training of one fold",
            remedy="choose another `out`, or the two are mistaken for one model",
        )
    for path in sorted(folder.path.glob("fold-*")):
        require_free(RunFolder(path), resume=resume, overwrite=overwrite)


def clear_training(folder: RunFolder) -> None:
    """Remove the training that lies in the folder, where one does."""
    if not folder.has_training:
        return
    _remove(folder, TRAINING_FILES)
    if folder.path.name.startswith("fold-"):
        # It was tuned with the network that is replaced now.
        clear_inference_tuning(RunFolder(folder.path.parent))


def clear_baseline(folder: RunFolder) -> None:
    """Remove the baseline that lies in the folder."""
    _remove(folder, BASELINE_FILES)


def clear_inference_tuning(folder: RunFolder) -> None:
    """Remove the inference that was tuned on the held-out cases of all folds."""
    for path in (folder.inference, folder.inference_tuning):
        path.unlink(missing_ok=True)
    folder.reopen()


def clear_folds(folder: RunFolder, count: int) -> None:
    """Remove the trainings of earlier folds: none of them may join the new ensemble.

    Args:
        folder: of all folds.
        count: number of new folds; folders beyond are removed as a whole.

    Raises:
        OutputError: one of them belongs to another process.
    """
    kept = {folder.fold(number).path for number in range(count)}
    for begun in folder.folds:
        with sole_user(begun.path):
            clear_training(begun)
        if begun.path not in kept:
            _remove_if_empty(begun.path)


def _remove_if_empty(path: Path) -> None:
    """Remove a folder that only Slicewise has used; notes of a person stay where they are."""
    if {item.name for item in path.iterdir()} <= {MARK, LOCK, CONFIG, EXAMPLES}:
        shutil.rmtree(path)


def _remove(folder: RunFolder, names: Iterable[str]) -> None:
    for name in names:
        (folder.path / name).unlink(missing_ok=True)
    for path in (folder.masks, folder.report):
        shutil.rmtree(path, ignore_errors=True)
