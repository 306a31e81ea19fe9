"""A model as ``--from`` names it in; out its weights, and what may be said about where they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.cli.console import note
from slicewise.cli.model_folder import INITIAL
from slicewise.cli.steps import model_files
from slicewise.config import Config, parse_config
from slicewise.dataset.catalogue import listed
from slicewise.errors import DataError, UsageError
from slicewise.imaging.files import sha256_of, write_text
from slicewise.segmentation.checkpoint import Checkpoint, load_checkpoint
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.unet import UNet

_CHANCE = "random weights"


@dataclass(frozen=True)
class InitialModel:
    """What a training starts from.

    Attributes:
        checkpoint: with the weights.
        name: the model as others may read it, without folders of this machine.
        sha256: of the file of the checkpoint.
        started_anew: sentences about what its weights do not fit.
    """

    checkpoint: Checkpoint
    name: str
    sha256: str
    started_anew: tuple[str, ...]

    def announce(self, held_out: Sequence[str]) -> None:
        """Say what the training starts from, and what weakens its score.

        Args:
            held_out: names of the cases that the training holds out.
        """
        note(f"starting from {self.name}")
        for text in self.started_anew:
            note(text)
        if known := sorted(set(held_out) & set(self.checkpoint.facts["train"])):
            note(
                f"{self.name} has learned from cases that are held out here, if those of one name "
                f"are the same: {listed(known)}; the score is then optimistically biased"
            )


def find_initial(model: str, config: Config, work: Path) -> InitialModel:
    """The model that a training is to start from.

    Args:
        model: a folder, a checkpoint, a run id or ``models:/`` address.
        config: of the training; its network must have something in common with the model.
        work: whose store is asked.

    Raises:
        UsageError: a folder of several networks.
        ModelError, CheckpointError: no model, a damaged one, or one of which nothing fits.
    """
    paths = model_files(model, work).members
    if len(paths) > 1:
        raise UsageError(
            f"--from {model}",
            expected="one network to start from",
            found=f"{len(paths)}, one a fold",
            remedy=f"name the folder of one fold, such as {paths[0].parent}",
        )
    (path,) = paths
    checkpoint = load_checkpoint(path)
    # Tried once before hours of preprocessing; the training itself does it again.
    started_anew = start_from(UNet.from_config(config), checkpoint, config, str(path))
    name = model if not Path(model).exists() else _described(checkpoint, path)
    return InitialModel(checkpoint, name, sha256_of(path), tuple(started_anew))


def remember_initial(initial: InitialModel | None, out: Path, *, resume: bool) -> None:
    """Note in the folder of a training what it starts from.

    A training that goes on keeps its weights; naming what it started from once more changes
    nothing, naming something else is a mistake.

    Raises:
        UsageError: a training that goes on has started from something else.
        DataError: the note of an earlier start is damaged.
    """
    if resume:
        if initial is not None:
            _require_same(initial_facts(out), initial, out)
    elif initial is None:
        (out / INITIAL).unlink(missing_ok=True)
    else:
        content = {"initial": initial.name, "initial_sha256": initial.sha256}
        write_text(out / INITIAL, json.dumps(content) + "\n")


def require_same_start(initial: InitialModel | None, folders: Iterable[Path]) -> None:
    """Refuse folds of one training that start from different weights.

    Args:
        initial: what folds start from that have not begun.
        folders: of folds that have begun.

    Raises:
        UsageError: one of them has started from something else.
        DataError: the note of its start is damaged.
    """
    for folder in folders:
        _require_same(initial_facts(folder), initial, folder)


def initial_facts(out: Path) -> dict[str, str]:
    """What the training in a folder started from: name and checksum; empty if from chance.

    Raises:
        DataError: the note is damaged.
    """
    path = out / INITIAL
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: str(content[key]) for key in ("initial", "initial_sha256")}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            path,
            expected="what the training started from, as it was noted",
            found=f"{type(error).__name__}: {error}",
            remedy="restore the file, or start anew with --overwrite",
        ) from error


def _require_same(known: Mapping[str, str], initial: InitialModel | None, out: Path) -> None:
    if known.get("initial_sha256") == (initial.sha256 if initial else None):
        return
    begun_from = known.get("initial", _CHANCE)
    raise UsageError(
        f"--from {initial.name}" if initial else "--resume without --from",
        expected=f"the same start as that of the training in {out}: {begun_from}",
        found=initial.name if initial else _CHANCE,
        remedy="name the same model again, or start anew with --overwrite or another --out",
    )


def _described(checkpoint: Checkpoint, path: Path) -> str:
    config, facts = parse_config(checkpoint.config_yaml, str(path)), checkpoint.facts
    return f"{config.name}, fold {facts['fold']}, step {facts['step']}"
