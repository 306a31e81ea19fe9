"""Resumes an interrupted training at the step where it was saved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from slicewise import __version__
from slicewise.config import Config, TrainingSection, flatten, parse_config, without_places
from slicewise.dataset.cache import CachedCase
from slicewise.errors import CheckpointError, ModelError
from slicewise.imaging.memory import is_out_of_memory
from slicewise.quantities import listed
from slicewise.segmentation.checkpoint import BEST, LAST, load_checkpoint
from slicewise.segmentation.process_group import ALONE, ProcessGroup
from slicewise.segmentation.training import SECONDS_BETWEEN_CHECKPOINTS, Training

_MAY_DIFFER = (
    # The budget of the first start holds.
    "training.epochs",
    "training.budget_minutes",
    "training.steps",
    "training.recorded.pace",
    "training.recorded.validations",
    "training.precision",
    # A name may be corrected before the model is registered.
    "tracking.experiment",
    "tracking.model_name",
)


def resume_training(
    config: Config,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    fold: str,
    out: Path,
    group: ProcessGroup = ALONE,
) -> Training:
    """Build the training that ``out/last.pt`` was saved from, at the step where it was.

    The processes that go on may be more or fewer than before.

    Raises:
        ModelError: there is nothing to resume.
        CheckpointError: damaged, kept otherwise by another version, or config, fold or cases have
            changed since; all are named.
    """
    require_saved(out)
    path = out / LAST
    checkpoint = load_checkpoint(path)
    saved = parse_config(checkpoint.config_yaml, str(path))
    _require_same_config(saved, config, path)
    _require_same_steps(saved.training, config.training, path)
    if checkpoint.facts["fold"] != fold:
        raise _changed(path, f"fold {checkpoint.facts['fold']}", f"fold {fold}")
    for side, cases in (("train", train), ("val", val)):
        _require_same_cases(checkpoint.facts[side], cases, path)
    # What differs without effect is taken from the present: the place of the data.
    config = saved.model_copy(update={"data": config.data, "tracking": config.tracking})
    training = Training(config, train, val, fold, group=group)
    assert checkpoint.training_state is not None
    try:
        training.restore(checkpoint.training_state)
    except (LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            # It says nothing about the checkpoint.
            raise
        raise CheckpointError(
            path,
            expected=f"the training state of Slicewise {__version__}",
            found="a state of another version",
            remedy="finish it with the version that started it, or train again in another `out`; "
            f"`initial` {path} starts from its weights",
        ) from error
    return training


def require_saved(out: Path) -> None:
    """Require that a training has saved its state in a folder.

    Raises:
        ModelError: nothing was saved yet, so that there is nothing to resume.
    """
    if os.path.lexists(out / LAST) or os.path.lexists(out / BEST):
        return
    raise ModelError(
        out,
        expected=f"a training that has saved its state as {LAST}",
        found="nothing was saved yet: the first state is saved after the first validation, or "
        f"after {SECONDS_BETWEEN_CHECKPOINTS / 60:.0f} minutes",
        remedy="give the same command without `resume`: it starts from the beginning",
    )


def _require_same_config(saved: Config, given: Config, path: Path) -> None:
    # A data set may have moved; its content is compared.
    before, now = flatten(saved), flatten(without_places(given))
    differing = [
        f"{key}: {before.get(key)}, not {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if key not in _MAY_DIFFER and before.get(key) != now.get(key)
    ]
    if differing:
        raise _changed(path, "; ".join(differing), "a changed configuration")


def _require_same_steps(saved: TrainingSection, given: TrainingSection, path: Path) -> None:
    if given.steps is None:
        return
    if given.steps != saved.steps:
        budget = (
            f"{saved.budget_minutes:g} minutes" if saved.steps is None else f"{saved.steps} steps"
        )
        raise _changed(path, budget, f"training.steps: {given.steps}")
    if given.recorded is not None and given.recorded != saved.recorded:
        raise _changed(path, "the course of its own budget", "another one in training.recorded")


def _require_same_cases(saved: Mapping[str, str], cases: Sequence[CachedCase], path: Path) -> None:
    now = {case.name: case.key for case in cases}
    groups = {
        "changed": [name for name in sorted(saved.keys() & now) if saved[name] != now[name]],
        "no longer there": sorted(saved.keys() - now),
        "not there then": sorted(now.keys() - saved),
    }
    if found := [f"{what}: {listed(names)}" for what, names in groups.items() if names]:
        raise _changed(path, "the scans that the training started with", "; ".join(found))


def _changed(path: Path, expected: str, found: str) -> CheckpointError:
    return CheckpointError(
        path,
        expected=expected,
        found=found,
        remedy="restore what has changed, or train from scratch in another `out` without `resume`",
    )
