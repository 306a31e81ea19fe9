"""Networks of a model, each with what it was trained with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from slicewise.config import Config, PreprocessingSection, parse_config
from slicewise.dataset.training_spacing import TrainingSpacing, at_training_spacing
from slicewise.errors import CheckpointError
from slicewise.imaging.volume import Volume
from slicewise.segmentation.bottom_features import BottomFeatures
from slicewise.segmentation.checkpoint import SPACING, Checkpoint, load_checkpoint, load_weights
from slicewise.segmentation.device import choose_device, in_memory_format, resolve_precision
from slicewise.segmentation.memory_needs import window_memory_bytes
from slicewise.segmentation.networks import SegmentationNetwork, build_network
from slicewise.segmentation.training_profile import TrainingProfile, read_profile


@dataclass(frozen=True)
class Member:
    """One network with what it was trained with.

    Attributes:
        network: in evaluation mode.
        config: of its training.
        profile: of the scans that it was trained on; None where it is not known.
        spacing: of these scans; None where it is not known.
        name: of its checkpoint and the folder that it lies in, for errors.
    """

    network: nn.Module
    config: Config
    profile: TrainingProfile | None = None
    spacing: TrainingSpacing | None = None
    name: str = "the network"

    def on(self, device: torch.device) -> Member:
        """The same network on a device, computing in what is fast there."""
        config = _with_local_precision(self.config, device)
        return replace(self, network=self.network.to(device), config=config)

    def preprocessing_of(self, scan: Volume) -> PreprocessingSection:
        """How a scan becomes slices: at the spacing of the training, if its own differs."""
        return at_training_spacing(self.config.preprocessing, self.spacing, scan)

    @cached_property
    def features(self) -> BottomFeatures:
        """Collects what the network sees at its bottom."""
        return BottomFeatures(self.network, self.config)

    @cached_property
    def window_memory_bytes(self) -> int:
        """Memory that a window takes while the network predicts it, at most."""
        return window_memory_bytes(self.network, self.config)


def load_members(paths: Sequence[Path]) -> tuple[list[Member], torch.device]:
    """Load checkpoints that predict together, and put them onto the best device.

    Raises:
        ModelError, CheckpointError: missing, damaged, not fitting its own configuration, or
            members that do not see or name the same things.
    """
    members: list[Member] = []
    for item in paths:
        checkpoint = load_checkpoint(item)
        config = parse_config(checkpoint.config_yaml, str(item), trained=True)
        if members:
            _require_same_task(members[0].config, config, item)
        network = in_memory_format(_network(checkpoint, config, str(item)), config.training)
        profile = read_profile(checkpoint, str(item))
        # The rest of the path would tell the client of a service about its machine.
        name = f"{item.parent.name}/{item.name}"
        members.append(Member(network, config, profile, _spacing(checkpoint), name))
    device = _device([member.config for member in members])
    return [item.on(device) for item in members], device


def resampling_notes(members: Sequence[Member], scan: Volume) -> list[str]:
    """What is said of a scan that is brought to the spacing of the training.

    Without its own spacing, so that it is the same for all scans of a folder.
    """
    notes = []
    for member in members:
        given = member.config.preprocessing.spacing_mm
        changed = member.preprocessing_of(scan).spacing_mm
        if changed is not None and changed != given:
            spacing = " x ".join(f"{step:.3g}" for step in changed)
            notes.append(
                f"the spacing differs from that of the training; resampled to {spacing} mm for "
                "the prediction"
            )
    return list(dict.fromkeys(notes))


def _spacing(checkpoint: Checkpoint) -> TrainingSpacing | None:
    known = checkpoint.facts.get(SPACING)
    return None if known is None else TrainingSpacing(**known)


def _network(checkpoint: Checkpoint, config: Config, where: str) -> SegmentationNetwork:
    network = build_network(config)
    load_weights(network, checkpoint.model, where)
    return network.eval()


def _device(configs: Sequence[Config]) -> torch.device:
    """The CPU where one of the members insists on it, otherwise the best there is."""
    insisted = any(config.training.device == "cpu" for config in configs)
    return choose_device("cpu" if insisted else "auto")


def _with_local_precision(config: Config, device: torch.device) -> Config:
    """A model trained in bfloat16 elsewhere computes in what is fast here."""
    if config.training.precision != "bfloat16":
        return config
    training = config.training.model_copy(update={"precision": "auto"})
    precision = resolve_precision(training, device)
    return config.model_copy(
        update={"training": training.model_copy(update={"precision": precision})}
    )


def _require_same_task(first: Config, other: Config, path: Path) -> None:
    """Refuse to average networks whose inputs or outputs mean different things."""
    for name, ours, theirs in (
        ("data.contrasts", first.data.contrasts, other.data.contrasts),
        ("data.labels", first.data.labels, other.data.labels),
    ):
        # The order of labels is the order of the channels.
        if str(ours) != str(theirs):
            raise CheckpointError(
                f"{path}: {name}",
                expected=f"the same as in the first checkpoint: {ours}",
                found=str(theirs),
                remedy="leave this one out: an ensemble has checkpoints of one task",
            )
