"""The checkpoint of a training, with which it goes on, and which predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicewise import __version__
from slicewise.config import NETWORKS, as_yaml, without_places
from slicewise.segmentation.checkpoint import Checkpoint

if TYPE_CHECKING:
    from slicewise.segmentation.training import Training


def checkpoint_of(training: Training) -> Checkpoint:
    """Weights, configuration, state and facts of a training as it is now."""
    config, progress = training.config, training.progress
    weights = {name: value.detach().cpu() for name, value in training.model.state_dict().items()}
    name = config.network.name
    facts = {
        "version": __version__,
        "fold": training.fold,
        "network": name,
        "network_package": NETWORKS.package_of(name),
        "step": progress.step,
        "best_dice": progress.best_dice,
        "train": {case.name: case.key for case in training.train_cases},
        "val": {case.name: case.key for case in training.val_cases},
    }
    return Checkpoint(as_yaml(without_places(config)), weights, training.state(), facts)
