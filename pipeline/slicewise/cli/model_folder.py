"""The folder of a training: whether it is free, when it is a model, what predicts from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from slicewise.cli.run_folder import RUN_ID
from slicewise.config import Config
from slicewise.errors import ModelError, OutputError
from slicewise.evaluation.inference_tuning.evidence import EVIDENCE
from slicewise.evaluation.inference_tuning.inference_file import INFERENCE
from slicewise.evaluation.inference_tuning.tuning import INFERENCE_TUNING
from slicewise.evaluation.results import HISTORY, LOSSES, MASKS, REPORT, RESULTS, SCORES
from slicewise.imaging.files import write_text
from slicewise.segmentation.resuming import sole_user

FINISHED = "model.json"
"""Lies beside the checkpoints of a training that came to its end."""
INITIAL = "initial.json"
"""Lies beside the checkpoints of a training that started from another model."""


ENSEMBLE = "ensemble.json"
"""Lies beside the folders of all folds and says as what they are registered together."""


def kept_checkpoint(folder: Path, config: Config) -> Path:
    """The checkpoint that a training leaves as its model."""
    return folder / f"{config.training.keep}.pt"


def finish(folder: Path, config: Config, facts: dict[str, str]) -> None:
    """Write what makes a folder a model: only a training that came to its end is one."""
    content = {"checkpoint": kept_checkpoint(folder, config).name, **facts}
    write_text(folder / FINISHED, json.dumps(content, indent=2) + "\n")


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints of a finished training: one, or one a fold.

    Raises:
        ModelError: no training lies there, or one that did not come to its end.
    """
    begun = [folder] if (folder / "last.pt").is_file() else sorted(folder.glob("fold-*/"))
    if not begun:
        raise ModelError(
            folder,
            expected="a model, as `slicewise train --out` leaves it",
            found=", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing",
            remedy="give the folder of a training",
        )
    unfinished = [path for path in begun if not (path / FINISHED).is_file()]
    if unfinished:
        raise ModelError(
            unfinished[0],
            expected="a training that came to its end",
            found=f"no {FINISHED}",
            remedy="go on with `slicewise train --resume`, or give its last.pt to use it as it is",
        )
    return [path / json.loads((path / FINISHED).read_text())["checkpoint"] for path in begun]


def remember_ensemble(folder: Path, content: Mapping[str, str], registered: str) -> None:
    """Note as what the networks of all folds are registered.

    Args:
        folder: of all folds.
        content: name of each file of the model to its sha256.
        registered: version and alias.
    """
    text = json.dumps({"registered": registered, "sha256": dict(content)}, indent=2)
    write_text(folder / ENSEMBLE, text + "\n")


def registered_ensemble(folder: Path, content: Mapping[str, str]) -> str | None:
    """As what these very files are registered already; None where they are not."""
    if not (folder / ENSEMBLE).is_file():
        return None
    known = json.loads((folder / ENSEMBLE).read_text(encoding="utf-8"))
    return str(known["registered"]) if known["sha256"] == dict(content) else None


def require_free(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse to replace a training unless that is wanted; see ``make_room``.

    Raises:
        OutputError: the folder holds another training, or a baseline.
    """
    if any(out.glob("fold-*/last.pt")):
        raise OutputError(
            out,
            expected="a folder for one fold",
            found="the folders of all folds",
            remedy="tune_inference another --out; the two would be taken for one model",
        )
    if (out / RESULTS).is_file() and not (out / "last.pt").exists():
        raise OutputError(
            out,
            expected="a folder for a training",
            found=f"{RESULTS} without a checkpoint: a baseline",
            remedy="tune_inference another --out",
        )
    if (out / "last.pt").exists() and not (resume or overwrite):
        raise OutputError(
            out,
            expected="a folder without a training",
            found="last.pt of an earlier training",
            remedy="go on with --resume, replace it with --overwrite, or choose another --out",
        )


def make_room(out: Path) -> None:
    """Remove the training that lies in a folder, where one does."""
    if not (out / "last.pt").exists():
        return
    checkpoints = ("last.pt", "best.pt")
    files = (FINISHED, *checkpoints, RUN_ID, HISTORY, LOSSES, SCORES, RESULTS, EVIDENCE, INITIAL)
    for name in files:
        (out / name).unlink(missing_ok=True)
    if out.name.startswith("fold-"):
        # They were made with the network that is replaced now.
        forget_choices(out.parent)
    for folder in (MASKS, REPORT):
        shutil.rmtree(out / folder, ignore_errors=True)


def forget_choices(out: Path) -> None:
    """Remove what the held-out cases of all folds have chosen."""
    for name in (INFERENCE, INFERENCE_TUNING):
        (out / name).unlink(missing_ok=True)


def require_free_folds(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder as the place for all folds, before one of them is trained.

    Raises:
        OutputError: a training of one fold lies there, or one that is not to be replaced.
    """
    if (out / "last.pt").exists():
        raise OutputError(
            out,
            expected="a folder for the folders of all folds",
            found="last.pt of a training of one fold",
            remedy="tune_inference another --out; the two would be taken for one model",
        )
    for folder in sorted(out.glob("fold-*")):
        require_free(folder, resume=resume, overwrite=overwrite)


def make_room_for_folds(out: Path, count: int) -> None:
    """Remove the trainings of earlier folds: none of them may join the ensemble of new ones.

    Args:
        out: folder of all folds.
        count: of the new folds; folders beyond are removed as a whole.

    Raises:
        OutputError: one of them belongs to another process.
    """
    kept = {out / f"fold-{number}" for number in range(count)}
    for folder in sorted(path.parent for path in out.glob("fold-*/last.pt")):
        with sole_user(folder):
            if folder in kept:
                make_room(folder)
            else:
                shutil.rmtree(folder)
