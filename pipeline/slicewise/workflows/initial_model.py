"""The model that a training starts from, and what that means for its score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slicewise.config import Config, parse_config
from slicewise.errors import UsageError
from slicewise.imaging.files import sha256_of
from slicewise.quantities import listed
from slicewise.segmentation.checkpoint import Checkpoint, load_checkpoint
from slicewise.segmentation.finetuning import start_from
from slicewise.segmentation.networks import build_network
from slicewise.tracking.run_folder import RunFolder
from slicewise.tracking.run_index import find_model

_RANDOM = "random weights"


@dataclass(frozen=True)
class InitialModel:
    """The model that a training starts from.

    Attributes:
        checkpoint: with the weights.
        name: of the model, without folders of this machine.
        sha256: of the file of the checkpoint.
        reinitialized: sentences about layers that its weights do not fit.
    """

    checkpoint: Checkpoint
    name: str
    sha256: str
    reinitialized: tuple[str, ...]

    @property
    def facts(self) -> dict[str, str]:
        """What the folder of a training records about it."""
        return {"initial": self.name, "initial_sha256": self.sha256}

    def summary(self, held_out: Sequence[str]) -> Iterator[str]:
        """Sentences about the start, and about what makes the score optimistic.

        Args:
            held_out: names of the cases that the training holds out.
        """
        yield f"starting from {self.name}"
        yield from self.reinitialized
        if known := sorted(set(held_out) & set(self.checkpoint.facts["train"])):
            yield (
                f"{self.name} was trained on cases that are held out here, if cases of one name "
                f"are the same: {listed(known)}; the scores are then optimistically biased"
            )


def find_initial_model(model: str, config: Config, work: Path) -> InitialModel:
    """The model that a training is to start from.

    Args:
        model: a folder, a checkpoint, a run id or a ``models:/`` address.
        config: of the training; its network must have layers in common with the model.
        work: whose store is asked.

    Raises:
        UsageError: a folder of several networks.
        ModelError, CheckpointError: no model, a damaged one, or one of which no layer fits.
    """
    paths = find_model(model, work).members
    if len(paths) > 1:
        raise UsageError(
            f"`initial` {model}",
            expected="one network to start from",
            found=f"{len(paths)}, one per fold",
            remedy=f"name the folder of one fold, such as {paths[0].parent}",
        )
    (path,) = paths
    checkpoint = load_checkpoint(path)
    # Tried once before hours of preprocessing; the training itself does it again.
    reinitialized = start_from(build_network(config), checkpoint, config, str(path))
    name = model if not Path(model).exists() else _description(checkpoint, path)
    return InitialModel(checkpoint, name, sha256_of(path), tuple(reinitialized))


def record_initial_model(initial: InitialModel | None, folder: RunFolder, *, resume: bool) -> None:
    """Record in the folder of a training what it starts from.

    A resumed training keeps its weights; naming the same model once more changes nothing, naming
    another one is a mistake.

    Raises:
        UsageError: the resumed training has started from something else.
        DataError: the record of an earlier start is damaged.
    """
    if not resume:
        folder.write_initial(None if initial is None else initial.facts)
    elif initial is not None:
        _require_same(folder.initial_facts(), initial, folder)


def require_same_start(initial: InitialModel | None, folders: Iterable[RunFolder]) -> None:
    """Refuse folds of one training that start from different weights.

    Args:
        initial: the start of folds that have not begun.
        folders: of folds that have begun.

    Raises:
        UsageError: one of them has started from something else.
        DataError: the record of its start is damaged.
    """
    for folder in folders:
        _require_same(folder.initial_facts(), initial, folder)


def _require_same(
    known: Mapping[str, str], initial: InitialModel | None, folder: RunFolder
) -> None:
    if known.get("initial_sha256") == (initial.sha256 if initial else None):
        return
    begun_from = known.get("initial", _RANDOM)
    raise UsageError(
        f"`initial` {initial.name}" if initial else "`resume` without `initial`",
        expected=f"the same start as that of the training in {folder.path}: {begun_from}",
        found=initial.name if initial else _RANDOM,
        remedy="name the same model again, or start again with `overwrite` or another `out`",
    )


def _description(checkpoint: Checkpoint, path: Path) -> str:
    config, facts = parse_config(checkpoint.config_yaml, str(path), trained=True), checkpoint.facts
    return f"{config.name}, fold {facts['fold']}, step {facts['step']}"
