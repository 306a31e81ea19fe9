"""Describes the scans of a training in its checkpoint, with which later scans are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from slicewise.dataset.cache import CachedCase
from slicewise.dataset.measurements import Measurements
from slicewise.dataset.plane import stack_axes
from slicewise.segmentation.checkpoint import load_checkpoint, save_checkpoint
from slicewise.segmentation.inference import Predictor
from slicewise.segmentation.scan_summary import summarize, volume_key
from slicewise.segmentation.training_profile import FEWEST_SCANS, TrainingProfile, with_profile

_MOST_SCANS = 64
"""Of a large training, this many scans tell what all of them look like."""


def write_profile(
    predictor: Predictor,
    train: Sequence[CachedCase],
    val: Sequence[CachedCase],
    predicted: Mapping[str, Measurements],
    path: Path,
) -> None:
    """Write what the scans of a training looked like into its checkpoint.

    Structures of training scans are those of their labels; those of held-out scans are what the
    network found, so that its usual errors are no reason to call a scan unlike the training.

    Args:
        predictor: the network of the checkpoint.
        train: cases that it was trained on.
        val: held-out cases.
        predicted: name of each of them that was predicted, to its measurements.
        path: of the checkpoint.

    Raises:
        CheckpointError, OutputError: the checkpoint cannot be read, or not be written.
    """
    places = np.linspace(0, len(train) - 1, min(len(train), _MOST_SCANS)).round().astype(int)
    measured = [*(_as_seen(predictor, train[place]) for place in places), *predicted.values()]
    errors = volume_errors(
        [(case.facts.measurements, predicted[case.name]) for case in val if case.name in predicted]
    )
    profile = TrainingProfile.of(measured, errors) if len(measured) >= FEWEST_SCANS else None
    save_checkpoint(with_profile(load_checkpoint(path), profile), path)


def _as_seen(predictor: Predictor, case: CachedCase) -> Measurements:
    """A training scan with its features, from a few of its slices."""
    (member,) = predictor.members
    stack = torch.from_numpy(case.image.astype(np.float32)).movedim(1, 0)  # (C, D, H, W)
    axes = stack_axes(member.config.preprocessing)
    features = member.features.of_volume(
        member.network, stack, axes, member.config, predictor.device
    )
    return case.facts.measurements.with_features(features)


def volume_errors(pairs: Sequence[tuple[Measurements, Measurements]]) -> dict[str, float]:
    """How well a network finds the volumes of structures, as errors of ``Summary.figures``.

    Args:
        pairs: each held-out scan with the structures of its label, and with those that were found.
    """
    squares: dict[str, list[float]] = {}
    for labelled, found in pairs:
        known, own = summarize(labelled).figures, summarize(found).figures
        for key in map(volume_key, labelled.volumes_ml):
            squares.setdefault(key, []).append((own[key].value - known[key].value) ** 2)
    return {name: math.sqrt(fmean(values)) for name, values in squares.items()}
