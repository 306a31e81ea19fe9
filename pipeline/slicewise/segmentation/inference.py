"""Segments scans with one network or several, from the scan's own grid and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch

from slicewise.config import Config, InferenceSection
from slicewise.dataset.augmentation import BODY_AXES
from slicewise.dataset.measurements import Measurements, measure
from slicewise.dataset.native_grid import NativeGrid
from slicewise.dataset.plane import view_axes
from slicewise.dataset.preprocessing import Preprocessing
from slicewise.errors import ScanError
from slicewise.imaging.memory import free_memory_bytes
from slicewise.imaging.volume import Affine, Volume
from slicewise.progress import Task
from slicewise.quantities import counted
from slicewise.segmentation.bottom_features import mean_features
from slicewise.segmentation.confidence import structure_confidences
from slicewise.segmentation.label_map import label_map
from slicewise.segmentation.member import Member, load_members, resampling_notes
from slicewise.segmentation.postprocessing import postprocess
from slicewise.segmentation.prediction import UNWATCHED, Prediction, model_mark
from slicewise.segmentation.probability_maps import (
    ProbabilityMaps,
    ProbabilitySums,
    SeenScan,
    SummedProbabilities,
)
from slicewise.segmentation.sliding_window import (
    Batches,
    NoFiniteLogitsError,
    SingleWindowError,
    SliceObserver,
    View,
    predict_views,
)
from slicewise.segmentation.unlikeness import Unlikeness


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
        self._batches = Batches(config.inference.batch_size)
        self._notes: list[str] = []

    @classmethod
    def from_checkpoint(cls, path: Path, *more: Path) -> Self:
        """Load one checkpoint, or several as an ensemble.

        Members may see other planes, spacings or windows; they name the same structures in the
        same contrasts.

        Raises:
            ModelError, CheckpointError: missing, damaged, not fitting its own configuration, or
                members of an ensemble that do not see or name the same things.
        """
        members, device = load_members([path, *more])
        return cls(members[0].config, members, device)

    @cached_property
    def made_by(self) -> str:
        """See ``Segmenter``."""
        parts: list[bytes | str] = []
        for member in self.members:
            parts.append(member.config.preprocessing.model_dump_json())
            parts.append(repr(member.spacing))
            for name, value in sorted(member.network.state_dict().items()):
                parts += [name, value.detach().cpu().contiguous().numpy().tobytes()]
        return model_mark(self.config, *parts)

    def with_inference(self, inference: InferenceSection) -> Self:
        """The same networks whose probabilities become a mask in another way."""
        config = self.config.model_copy(update={"inference": inference})
        return type(self)(config, self.members, self.device)

    def preprocessing_of(self, member: Member, scan: Volume) -> Preprocessing:
        """How a scan becomes slices for a member."""
        section = member.preprocessing_of(scan)
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
        seen, views = self._seen_in_memory(contrasts, work)
        summed = SummedProbabilities(seen, 1 + len(labels), inference.temperature)
        probabilities = ProbabilityMaps(scan, summed)
        rough = label_map(probabilities, labels, inference.slice_exclusive)
        mask = postprocess(rough, labels, inference.postprocessing)
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
        notes, self._notes = [*resampling_notes(self.members, scan), *self._notes], []
        return Prediction.of(mask, probabilities, confidences, unlikeness, measured, notes)

    def _seen_in_memory(
        self, contrasts: Sequence[Volume], work: _Work
    ) -> tuple[list[SeenScan], list[_Appearance]]:
        """``_seen`` with smaller batches, or without the GPU, where memory is full; noted once."""
        size = self._batches.size
        found = None
        try:
            found = self._seen(contrasts, work)
        except SingleWindowError:
            if not self._uses_gpu:
                raise
        if found is None:
            # Not above, where the error holds what has filled the memory.
            self._use_cpu()
            found = self._seen(contrasts, work)
        if self._batches.size < size:
            self._notes.append(
                f"memory is full: from here on {counted(self._batches.size, 'window')} at a time "
                f"instead of {size}"
            )
        return found

    def _seen(
        self, contrasts: Sequence[Volume], work: _Work
    ) -> tuple[list[SeenScan], list[_Appearance]]:
        """What the members have said, by their preprocessing, and how each has seen the scan."""
        work.done = 0.0
        seen, appearances = [], []
        mirrored = (None, *(BODY_AXES.index(name) for name in self.config.inference.mirror_axes))
        for members in self._alike(contrasts[0]):
            preprocessing = self.preprocessing_of(members[0], contrasts[0])
            section = preprocessing.section
            image, axis = preprocessing.from_volumes(contrasts)  # (C, X, Y, Z)
            measured = measure(contrasts, image.as_tensor())
            shape, affine = tuple(image.shape[1:]), np.asarray(image.affine)
            # The scan itself first: a training is described without mirror images.
            axes = view_axes(section, axis)
            views = [View(along, place) for place in mirrored for along in axes]
            sums = ProbabilitySums(self.config.out_channels, shape, len(views) * len(members))
            for item in members:
                if not self._uses_gpu:
                    # Some libraries crash where an allocation fails, rather than to report it.
                    self._batches.at_most(free_memory_bytes() // 2 // item.window_memory_bytes)
                features = self._add_up(item, image.as_tensor(), views, sums, work)
                appearances.append(
                    _Appearance(item, measured.with_features(features), shape, affine)
                )
            way_back = NativeGrid.of(contrasts[0], image)
            seen.append(SeenScan(sums, way_back, len(members) / len(self.members)))
        return seen, appearances

    @property
    def _uses_gpu(self) -> bool:
        return self.device.type != "cpu"

    def _use_cpu(self) -> None:
        self.device = torch.device("cpu")
        self._batches = Batches(self.config.inference.batch_size)
        self.members = [item.on(self.device) for item in self.members]
        self._notes.append(
            "the memory of the GPU is too small for a single window: from here on the CPU predicts"
        )

    def _alike(self, scan: Volume) -> list[list[Member]]:
        """Members by the preprocessing of a scan, so that each is done once."""
        groups: dict[str, list[Member]] = {}
        for member in self.members:
            groups.setdefault(repr(member.preprocessing_of(scan)), []).append(member)
        return list(groups.values())

    def _add_up(
        self,
        member: Member,
        volume: torch.Tensor,
        views: Sequence[View],
        sums: ProbabilitySums,
        work: _Work,
    ) -> list[float]:
        """Add the probabilities of a member in all views; returns the features of the scan."""
        config = member.config.model_copy(update={"inference": self.config.inference})
        on_slices = work.of_member(sum(volume.shape[view.axis + 1] for view in views))

        def predict(chosen: Sequence[View]) -> None:
            predict_views(
                *(member.network, volume, chosen, config, self.device, sums),
                *(on_slices, self._batches),
            )

        plain = [view for view in views if view.mirrored is None]
        try:
            with member.features.collecting() as means:
                predict(plain)
            predict(views[len(plain) :])
        except NoFiniteLogitsError as error:
            raise error.of(work.scan, member.name) from None
        return mean_features(means)


@dataclass(frozen=True)
class _Appearance:
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
