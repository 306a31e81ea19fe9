"""Estimates the time, memory and disk space of a planned training on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from slicewise.config import Config
from slicewise.dataset.contrasts import read_contrasts
from slicewise.planning.fingerprint import Fingerprint
from slicewise.planning.peak_memory import peak_memory
from slicewise.planning.sample import Sample
from slicewise.planning.slice_views import View, planned_voxels, views_of
from slicewise.planning.step_timing import StepTiming, step_timing_of
from slicewise.segmentation.device import (
    autocast,
    choose_device,
    in_memory_format,
    memory_format_of,
    resolve_precision,
)
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.member import Member
from slicewise.segmentation.memory import memory_for_training
from slicewise.segmentation.networks import build_network
from slicewise.segmentation.training import Training

_MAX_PREDICTION_SECONDS = 4.0
"""A longer prediction is extrapolated from the time of one window."""
_WARM_STEPS, _MAX_STEPS = 3, 40
_MAX_SECONDS = 4.0
_FORWARD_RUNS = 6
_BATCH = 16


@dataclass(frozen=True)
class Estimate:
    """Cost of a training on this machine, measured on a few scans of median size.

    Attributes:
        config: the measured configuration, with its precision resolved.
        step_seconds: duration of one training step.
        slices: training slices of a fold, in one plane.
        views: planes in which each scan is sliced.
        validation_seconds: duration of one validation.
        prediction_seconds: duration of the prediction of one scan of median size.
        memory_gb: peak memory of training; of the GPU if it trains there.
        disk_gb: size of the slice cache of all cases.
        is_busy: whether other programs used the CPU; durations are those of an idle one.
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
        """Training steps of a fold."""
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
        """Duration of a fold, including validations."""
        validations = self.config.training.validations * self.validation_seconds
        return (self.steps * self.step_seconds + validations) / 60

    @property
    def passes(self) -> float:
        """Passes over the training slices, counting each slice once in any plane."""
        return self.steps * self.config.training.batch_size / self.slices


def estimate(fingerprint: Fingerprint, config: Config, sample: Sample) -> Estimate:
    """Measure a few training steps and a prediction, and extrapolate.

    Args:
        fingerprint: of all cases.
        config: as planned.
        sample: prepared with the preprocessing of ``config``.
    """
    device = choose_device(config.training.device)
    timing = step_timing_of(device)
    precision = resolve_precision(config.training, device)
    training = config.training.model_copy(update={"precision": precision})
    config = config.model_copy(update={"training": training})
    with peak_memory(device) as memory, memory_for_training(config):
        step_seconds = _step_seconds(config, sample, timing)
    preprocessing, folds = config.preprocessing, config.data.fold_count
    views = views_of(fingerprint.cases, preprocessing)
    # Three views show the same voxels.
    seen_from = len(views) // len(fingerprint.cases)
    windows = _Windows(config, timing)
    return Estimate(
        config=config,
        step_seconds=step_seconds,
        slices=sum(view.count for view in views) / seen_from * (folds - 1) / folds,
        views=seen_from,
        validation_seconds=windows.seconds(views) / folds,
        prediction_seconds=_prediction_seconds(windows, sample, views),
        memory_gb=memory.peak_gb,
        disk_gb=sample.bytes_per_voxel * planned_voxels(views, preprocessing.plane) / 1e9,
        is_busy=timing.is_busy,
    )


def _step_seconds(config: Config, sample: Sample, timing: StepTiming) -> float:
    changes = {"steps": _MAX_STEPS, "epochs": None, "budget_minutes": None}
    training = config.training.model_copy(update=changes)
    few = config.model_copy(update={"training": training})
    trial = Training(few, sample.cached, [], "trial")
    return timing.fastest(trial.step, _WARM_STEPS, _MAX_STEPS, _MAX_SECONDS)


class _Windows:
    """Inference time of the planned network, untrained, for each window.

    Args:
        config: with its precision resolved.
        timing: how durations are measured.
    """

    def __init__(self, config: Config, timing: StepTiming) -> None:
        self.config, self.timing, self.device = config, timing, timing.device
        network = in_memory_format(build_network(config), config.training)
        self.network = network.to(self.device).eval()
        self.window_seconds = self._measure()

    def seconds(self, views: Sequence[View]) -> float:
        """Inference time of all windows of some slices."""
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

        return self.timing.fastest(forward, 1, _FORWARD_RUNS, _MAX_SECONDS) / count


def _prediction_seconds(windows: _Windows, sample: Sample, views: Sequence[View]) -> float:
    """Duration from the files of the median-sized case to its mask."""
    case = sample.sources[0]
    inference_seconds = windows.seconds([view for view in views if view.case == case.name])
    if inference_seconds > _MAX_PREDICTION_SECONDS:
        return inference_seconds
    config = windows.config
    predictor = Predictor(config, [Member(windows.network, config)], windows.device)

    def predict() -> None:
        predictor.predict(*read_contrasts(case.images, config.data.contrasts, config.reading))

    return windows.timing.seconds(predict)
