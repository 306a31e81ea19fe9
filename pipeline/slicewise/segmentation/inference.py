"""Segments scans with one network or several, from the scan's own grid and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from slicewise.config import (
    Config,
    InferenceSection,
    PreprocessingSection,
    parse_config,
)
from slicewise.dataset.augmentation import BODY_AXES
from slicewise.dataset.measurements import Measurements, measure
from slicewise.dataset.plane import view_axes
from slicewise.dataset.preprocessing import Preprocessing
from slicewise.errors import CheckpointError, ScanError
from slicewise.imaging.volume import Affine, Volume
from slicewise.lean_monai import MetaTensor
from slicewise.progress import Task
from slicewise.quantities import counted
from slicewise.segmentation.bottom_features import BottomFeatures, mean_features
from slicewise.segmentation.checkpoint import Checkpoint, load_checkpoint, load_weights
from slicewise.segmentation.confidence import structure_confidences, with_temperature
from slicewise.segmentation.device import choose_device, in_memory_format, resolve_precision
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.networks import SegmentationNetwork, build_network
from slicewise.segmentation.postprocessing import postprocess
from slicewise.segmentation.prediction import UNWATCHED, Prediction, model_mark
from slicewise.segmentation.sliding_window import NoFiniteLogitsError, SliceObserver, predict_views
from slicewise.segmentation.training_profile import TrainingProfile, read_profile
from slicewise.segmentation.unlikeness import Unlikeness


@dataclass(frozen=True)
class Member:
    """One network with what it was trained with.

    Attributes:
        network: in evaluation mode.
        config: of its training.
        profile: of the scans that it was trained on; None where it is not known.
        name: of its checkpoint and the folder that it lies in, for errors.
    """

    network: nn.Module
    config: Config
    profile: TrainingProfile | None = None
    name: str = "the network"

    @cached_property
    def features(self) -> BottomFeatures:
        """Collects what the network sees at its bottom."""
        return BottomFeatures(self.network, self.config)


class Predictor:
    """One network or several, whose probabilities are averaged, each with its own preprocessing.

    Args:
        config: contrasts, structures, reading, and the section ``inference`` that holds for all.
        members: the networks, on ``device``.
        device: where they compute.
    """

    def __init__(self, config: Config, members: Sequence[Member], device: torch.device) -> None:
        self.config = config
        self.members = members
        self.device = device

    @classmethod
    def from_checkpoint(cls, path: Path, *more: Path) -> Self:
        """Load one checkpoint, or several as an ensemble.

        Members may see other planes, spacings or windows; they name the same structures in the
        same contrasts.

        Raises:
            ModelError, CheckpointError: missing, damaged, not fitting its own configuration, or
                members of an ensemble that do not see or name the same things.
        """
        members: list[Member] = []
        for item in (path, *more):
            checkpoint = load_checkpoint(item)
            config = parse_config(checkpoint.config_yaml, str(item), trained=True)
            if members:
                _require_same_task(members[0].config, config, item)
            network = in_memory_format(_network(checkpoint, config, str(item)), config.training)
            profile = read_profile(checkpoint, str(item))
            # The rest of the path would tell the client of a service about its machine.
            name = f"{item.parent.name}/{item.name}"
            members.append(Member(network, config, profile, name))
        device = _device([member.config for member in members])
        on_device = [
            replace(
                item,
                network=item.network.to(device),
                config=_with_local_precision(item.config, device),
            )
            for item in members
        ]
        return cls(members[0].config, on_device, device)

    @cached_property
    def made_by(self) -> str:
        """See ``Segmenter``."""
        parts: list[bytes | str] = []
        for member in self.members:
            parts.append(member.config.preprocessing.model_dump_json())
            for name, value in sorted(member.network.state_dict().items()):
                parts += [name, value.detach().cpu().contiguous().numpy().tobytes()]
        return model_mark(self.config, *parts)

    def with_inference(self, inference: InferenceSection) -> Self:
        """The same networks whose probabilities become a mask in another way."""
        config = self.config.model_copy(update={"inference": inference})
        return type(self)(config, self.members, self.device)

    def preprocessing_of(self, member: Member) -> Preprocessing:
        """How a scan becomes slices for a member."""
        section = member.config.preprocessing
        return Preprocessing(section, self.config.data, self.config.reading)

    def predict(self, *contrasts: Volume, case: str = "", task: Task = UNWATCHED) -> Prediction:
        """Segment a scan; see ``Segmenter``.

        Args:
            contrasts: one volume a contrast of the configuration, all on one grid.
            case: of no consequence here.
            task: follows the work; its total is 1.

        Returns:
            Label values on the grid of the first contrast, after post-processing.

        Raises:
            ScanError: NaN voxels, another number of contrasts than the model was trained on, or a
                network that answers with values that are no numbers.
        """
        del case
        scan = contrasts[0]
        expected = self.config.data.contrasts
        if len(contrasts) != len(expected):
            raise ScanError(
                scan.name,
                expected=f"{len(expected)} contrasts: {', '.join(expected)}",
                found=counted(len(contrasts), "volume"),
                remedy="give one volume per contrast, in this order",
            )
        inference, labels = self.config.inference, self.config.data.labels
        work = _Work(len(self.members), task, scan.name)
        seen, views = self._seen(contrasts, work)  # (K, X, Y, Z)
        calibrated = with_temperature(seen, inference.temperature).numpy()
        rough = label_map(scan, calibrated, labels, inference.slice_exclusive)
        mask = postprocess(rough, labels, inference.postprocessing)
        probabilities = tuple(scan.with_voxels(item) for item in calibrated)
        confidences = structure_confidences(mask, probabilities, self.config)
        measured = [
            view.measurements.with_structures(mask, labels, view.shape, view.affine)
            for view in views
        ]
        unlikeness = Unlikeness.of(
            [
                view.member.profile.compare(item)
                for view, item in zip(views, measured, strict=True)
                if view.member.profile is not None
            ]
        )
        return Prediction.of(mask, probabilities, confidences, unlikeness, measured)

    def _seen(self, contrasts: Sequence[Volume], work: _Work) -> tuple[torch.Tensor, list[_View]]:
        """Mean probabilities of the members, and how each has seen the scan.

        Probabilities are (K, X, Y, Z) on the scan's own grid, background first.
        """
        native, views = [], []
        for section, members in self._alike():
            preprocessing = Preprocessing(section, self.config.data, self.config.reading)
            image, axis = preprocessing.from_volumes(contrasts)  # (C, X, Y, Z)
            axes = view_axes(section, axis)
            measured = measure(contrasts, image.as_tensor())
            probabilities = []
            for item in members:
                predicted, features = self._probabilities(item, image, axes, work)
                probabilities.append(predicted)
                as_seen = measured.with_features(features)
                views.append(_View(item, as_seen, image.shape[1:], np.asarray(image.affine)))
            summed = torch.stack(probabilities).sum(0)
            native.append(preprocessing.to_native(summed, image, axis))
        return _with_background(torch.stack(native).sum(0) / len(self.members)), views

    def _alike(self) -> list[tuple[PreprocessingSection, list[Member]]]:
        """Members by their preprocessing, so that each is done once."""
        groups: dict[str, list[Member]] = {}
        for member in self.members:
            groups.setdefault(repr(member.config.preprocessing), []).append(member)
        return [(group[0].config.preprocessing, group) for group in groups.values()]

    def _probabilities(
        self, member: Member, image: MetaTensor, axes: tuple[int, ...], work: _Work
    ) -> tuple[torch.Tensor, list[float]]:
        """Probabilities (K, X, Y, Z) of a member, mean over the scan and its mirror images.

        Next to them, the features of the scan alone: a training is described without mirroring.
        """
        config = member.config.model_copy(update={"inference": self.config.inference})
        volume = image.as_tensor()

        def predict(volume: torch.Tensor) -> torch.Tensor:
            network = member.network
            try:
                return predict_views(network, volume, axes, config, self.device, on_slices)
            except NoFiniteLogitsError as error:
                raise error.of(work.scan, member.name) from None

        places = [BODY_AXES.index(name) + 1 for name in self.config.inference.mirror_axes]
        slices = (1 + len(places)) * sum(volume.shape[axis + 1] for axis in axes)
        on_slices = work.of_member(slices)
        with member.features.collecting() as means:
            seen = predict(volume)
        for place in places:
            seen = seen + predict(volume.flip(place)).flip(place)
        return seen / (1 + len(places)), mean_features(means)


@dataclass(frozen=True)
class _View:
    """A scan as a member has seen it: measurements, shape and affine after preprocessing."""

    member: Member
    measurements: Measurements
    shape: Sequence[int]
    affine: Affine


class _Work:
    """What the members do to a scan, in equal shares, whatever their slices cost."""

    def __init__(self, members: int, task: Task, scan: str) -> None:
        self.members = members
        self.task = task
        self.scan = scan
        self.done = 0.0

    def of_member(self, slices: int) -> SliceObserver:
        """Counts the slices of a member, of all that it sees."""

        def count(seen: int) -> None:
            self.done += seen / slices / self.members
            self.task.update(min(self.done, 1.0))

        return count


def _with_background(probabilities: torch.Tensor) -> torch.Tensor:
    """(K, X, Y, Z) with the background first, as what the structures leave of 1.

    A network with one sigmoid has no such channel; where a crop was undone, it is empty.
    """
    structures = probabilities if len(probabilities) == 1 else probabilities[1:]
    return torch.cat([(1 - structures.sum(0, keepdim=True)).clamp(min=0), structures])


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
