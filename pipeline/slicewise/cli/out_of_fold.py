"""Cross-validations in; out, for each of their cases, the networks that have not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slicewise.cli.console import note
from slicewise.cli.model_folder import checkpoints_in
from slicewise.cli.run_folder import find_run
from slicewise.errors import ModelError
from slicewise.evaluation.results import read_results

Checkpoints = tuple[Path, ...]
"""One a model, of networks that predict together."""


def unseen_by(models: Sequence[str], work: Path) -> dict[str, Checkpoints]:
    """Which networks have not learned from a case.

    Args:
        models: folders or run ids of trainings, of a fold or of all.
        work: whose store is asked.

    Returns:
        Name of each case that every model held out, to a checkpoint a model.

    Raises:
        DataError: no such run, or a damaged one.
        ModelError: an unfinished training, or no case that all held out.
    """
    found = [_held_out(find_run(model, work).folder) for model in models]
    shared = [name for name in found[0] if all(name in other for other in found[1:])]
    if not shared:
        raise ModelError(
            " and ".join(models),
            expected="folds that held out the same cases",
            found="no case that all of them held out",
            remedy="give the folders of `slicewise train --fold all` on one data set",
        )
    return {name: tuple(cases[name] for cases in found) for name in shared}


def _held_out(folder: Path) -> dict[str, Path]:
    """Each case that a fold of a training held out, to the network of the fold."""
    known: dict[str, Path] = {}
    for fold in read_results(folder):
        (checkpoint,) = checkpoints_in(fold.folder)
        known |= {score.case: checkpoint for score in fold.scores}
        if fold.facts and fold.facts.shared_patients:
            note(
                f"{fold.folder}: {fold.facts.folds}; {fold.facts.shared_patients} patients on both "
                "sides, so scores of these masks are optimistically biased"
            )
    return known
