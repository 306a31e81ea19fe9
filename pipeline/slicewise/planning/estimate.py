"""A planned configuration and some scans in; time, memory and disk on this machine out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slicewise.config import Config
from slicewise.dataset.contrasts import read_contrasts
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.memory import watched_memory
from slicewise.planning.sample import Sample
from slicewise.planning.slices import View, planned_voxels, views_of
from slicewise.planning.step_timing import StepTiming, step_timing_of
from slicewise.segmentation.device import (
    autocast,
    choose_device,
    in_memory_format,
    memory_format_of,
    resolve_precision,
)
from slicewise.segmentation.inference import Member, Predictor
from slicewise.segmentation.networks import build_network
from slicewise.segmentation.training import Training

_MOST_PREDICTION_SECONDS = 4.0
"""A prediction that takes longer is worked out from its windows."""
_WARM_STEPS, _MOST_STEPS = 3, 40
_MOST_SECONDS = 4.0
_FORWARD_RUNS = 6
_BATCH = 16


@dataclass(frozen=True)
class Estimate:
    """What a training would cost here; measured on a few scans of middle size.

    Attributes:
        config: that was measured, with its precision resolved.
        step_seconds: of one step.
        slices: that a fold learns from, in one view.
        views: that each scan is seen in.
        validation_seconds: of one validation.
        prediction_seconds: of one scan of middle size.
        memory_gb: most that the process held while it trained; of the GPU, where one trains.
        disk_gb: of the slice cache of all cases.
        is_busy: whether other work took the CPU, so that durations are worked out for a free one.
    """

    config: Config
    step_seconds: float
    slices: float
    views: int
    validation_seconds: float
    prediction_seconds: float
    memory_gb: float
    disk_gb: float
    is_busy: bool = False

    @property
    def steps(self) -> int:
        """Steps of a fold."""
        section = self.config.training
        if section.steps is not None:
            return section.steps
        if section.epochs is not None:
            return section.epochs * math.ceil(self.views * self.slices / section.batch_size)
        assert section.budget_minutes is not None
        left = 60 * section.budget_minutes - section.validations * self.validation_seconds
        return max(1, int(left / self.step_seconds))

    @property
    def minutes(self) -> float:
        """Duration of a fold, validations included."""
        validations = self.config.training.validations * self.validation_seconds
        return (self.steps * self.step_seconds + validations) / 60

    @property
    def passes(self) -> float:
        """How often a fold sees its data, from any side, on average."""
        return self.steps * self.config.training.batch_size / self.slices


def estimate(fingerprint: Fingerprint, config: Config, sample: Sample) -> Estimate:
    """Measure some steps and a prediction, and work out the rest.

    Args:
        fingerprint: of all cases.
        config: as planned.
        sample: prepared with the preprocessing of ``config``.
    """
    device = choose_device(config.training.device)
    pace = step_timing_of(device)
    precision = resolve_precision(config.training, device)
    training = config.training.model_copy(update={"precision": precision})
    config = config.model_copy(update={"training": training})
    with watched_memory(device) as memory:
        step_seconds = _step_seconds(config, sample, pace)
    preprocessing, folds = config.preprocessing, config.data.fold_count
    views = views_of(fingerprint.cases, preprocessing.plane, preprocessing.spacing_mm)
    # Three views show the same voxels.
    seen_from = len(views) // len(fingerprint.cases)
    windows = _Windows(config, pace)
    return Estimate(
        config=config,
        step_seconds=step_seconds,
        slices=sum(view.count for view in views) / seen_from * (folds - 1) / folds,
        views=seen_from,
        validation_seconds=windows.seconds(views) / folds,
        prediction_seconds=_prediction_seconds(windows, sample, views),
        memory_gb=memory.most_gb,
        disk_gb=sample.bytes_a_voxel * planned_voxels(views, preprocessing.plane) / 1e9,
        is_busy=pace.is_busy,
    )


def _step_seconds(config: Config, sample: Sample, pace: StepTiming) -> float:
    changes = {"steps": _MOST_STEPS, "epochs": None, "budget_minutes": None}
    training = config.training.model_copy(update=changes)
    few = config.model_copy(update={"training": training})
    trial = Training(few, sample.cached, [], "trial")
    return pace.fastest(trial.step, _WARM_STEPS, _MOST_STEPS, _MOST_SECONDS)


class _Windows:
    """How fast an untrained network of the plan sees windows.

    Args:
        config: with its precision resolved.
        pace: measures.
    """

    def __init__(self, config: Config, pace: StepTiming) -> None:
        self.config, self.pace, self.device = config, pace, pace.device
        network = in_memory_format(build_network(config), config.training)
        self.network = network.to(self.device).eval()
        self.window_seconds = self._measure()

    def seconds(self, views: Sequence[View]) -> float:
        """What the network takes for all windows of some slices."""
        window, overlap = self.config.network.window, self.config.inference.overlap
        return self.window_seconds * sum(view.windows(window, overlap) for view in views)

    def _measure(self) -> float:
        count = min(_BATCH, self.config.inference.batch_size)
        shape = (count, self.config.in_channels, *self.config.network.window)
        images = torch.zeros(shape, device=self.device)
        images = images.contiguous(memory_format=memory_format_of(self.config.training))

        @torch.inference_mode()
        def forward() -> None:
            with autocast(self.config.training.precision, self.device):
                self.network(images)

        return self.pace.fastest(forward, 1, _FORWARD_RUNS, _MOST_SECONDS) / count


def _prediction_seconds(windows: _Windows, sample: Sample, views: Sequence[View]) -> float:
    """Of the case of middle size, from its files to its mask."""
    case = sample.sources[0]
    of_network = windows.seconds([view for view in views if view.case == case.name])
    if of_network > _MOST_PREDICTION_SECONDS:
        return of_network
    config = windows.config
    predictor = Predictor(config, [Member(windows.network, config)], windows.device)

    def predict() -> None:
        predictor.predict(*read_contrasts(case.images, config.data.contrasts, config.reading))

    return windows.pace.seconds(predict)
